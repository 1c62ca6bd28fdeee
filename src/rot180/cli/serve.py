"""`rot180 serve`: trained networks behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from rot180.cli.extras import Port, extra


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|MODEL",
            help="Run folders or weights files; NAME=PATH serves one under another name than its own.",
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but a loopback address needs --token.")
    ] = "127.0.0.1",
    port: Port = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="ROT180_TOKEN",
            help="Secret that requests must carry, at least 16 characters: Authorization: Bearer TOKEN. Other users of "
            "this machine can see the command line, so set it in the environment instead.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Worker processes, each with its own copy of the networks.")
    ] = 1,
    max_batch: Annotated[int, typer.Option("--max-batch", help="Largest number of images computed together.")] = 16,
    max_wait: Annotated[
        float,
        typer.Option(
            "--max-wait-ms",
            help="Milliseconds that an image waits for others to fill its batch. With 0, a batch holds the images that "
            "arrived while the previous one was computed.",
        ),
    ] = 0.0,
    max_queue: Annotated[
        int,
        typer.Option(
            "--max-queue", help="Images that may wait for a network; further requests get 503 with Retry-After."
        ),
    ] = 256,
    max_body: Annotated[
        float, typer.Option("--max-body", help="Largest request body in megabytes; longer ones get 413.")
    ] = 16.0,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds that a client may take to send a request or to read the answer.")
    ] = 10.0,
    drain: Annotated[
        float, typer.Option("--drain", help="Seconds that running requests may take to finish after SIGTERM or Ctrl-C.")
    ] = 20.0,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve a page at / on which to try pictures.")] = True,
) -> None:
    """Serve trained networks over HTTP.

    Programs use the Open Inference Protocol, /v2/models/NAME/infer, or send an
    image file to /predict; the page at / is for people. Images of concurrent
    requests are computed in one batch, and answers equal those of rot180 predict
    bit for bit. Needs the extra serve: pip install 'rot180[serve]'. Ctrl-C or
    SIGTERM ends it, once running requests are answered.

    Every line of the output is a JSON object that describes one event.

    Examples:

      rot180 serve runs/first

      rot180 serve runs/first photos=runs/mobile/model.safetensors --port 9000

      curl --data-binary @three.png http://127.0.0.1:8000/predict

      ROT180_TOKEN=... rot180 serve runs/first --host 0.0.0.0 --workers 2
    """
    from rot180.cli.failure import warn

    with extra("serve"):
        from rot180.serve import Settings
        from rot180.serve import serve as run

    settings = Settings(
        models,
        host=host,
        port=port,
        token=token,
        workers=workers,
        max_batch=max_batch,
        max_wait=max_wait / 1000,
        max_queue=max_queue,
        max_body=max_body,
        timeout=timeout,
        drain=drain,
        page=page,
    )
    if status := run(settings, tell=warn):
        raise typer.Exit(status)
