"""Train a network on the bundled digits, evaluate it on digits it has not seen, save it, and use it.

python examples/train_digits.py            # twelve epochs, a few seconds, over 98%
python examples/train_digits.py 1          # one epoch
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import rot180

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 12

data = rot180.load_data("digits")  # 8 x 8 pixels; some of them are held out for testing
model = rot180.network("8x8x1 > conv3x3:16:same relu > conv3x3:32:same relu maxpool2 > fc64 relu > fc10")
model.class_names = data.class_names

history = rot180.fit(model, data, epochs=epochs, batch_size=32, optimizer="adam", lr=2e-3, schedule="one-cycle", seed=0)
for epoch in history.epochs:
    print(f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, accuracy {100 * epoch.train_accuracy:.2f}%")

result = rot180.evaluate(model, data.test_images, data.test_labels)
print(f"{result.count} unseen digits: {100 * result.accuracy:.2f}% right")

path = Path(tempfile.mkdtemp()) / "digits.safetensors"
rot180.save_model(path, model)
probabilities = rot180.predict(rot180.load_model(path), data.test_images[:1])[0]
print(
    f"the first is a {data.test_labels[0]}; the saved network says {probabilities.argmax()} ({probabilities.max():.1%})"
)
