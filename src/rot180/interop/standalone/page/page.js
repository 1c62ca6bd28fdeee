// What a person sees and does.

const TEXTS = {
  en: {
    title: "What is in the picture?",
    intro: "A network that rot180 has trained. Everything is computed on this page: no picture leaves your device.",
    picture: "Picture",
    how: "Draw with the mouse or a finger, or drop a picture. From the keyboard: arrow keys move, the space bar draws, Delete clears.",
    choose: "Choose a picture",
    clear: "Clear",
    example: "Show an example",
    classes: "Classes",
    other: "中文",
    computing: "Computing …",
    done: (best, share) => `${best}, ${share}`,
    waiting: "Draw something, or choose a picture.",
    unreadable: "This file is no picture that the browser can read.",
    proving: "Comparing with rot180 …",
    proof: (count, difference, limit, holds) =>
      holds
        ? `This page gives the outputs of rot180 for ${count} examples: the largest difference is ${difference} (at most ${limit}).`
        : `This page does NOT give the outputs of rot180: for ${count} examples, the largest difference is ${difference} (at most ${limit}). Do not rely on it.`,
  },
  zh: {
    title: "图片里是什么？",
    intro: "这是 rot180 训练好的网络。所有计算都在本页完成：图片不会离开您的设备。",
    picture: "图片",
    how: "用鼠标或手指绘制，或拖入一张图片。用键盘：方向键移动，空格键绘制，Delete 键清空。",
    choose: "选择图片",
    clear: "清空",
    example: "显示示例",
    classes: "类别",
    other: "English",
    computing: "正在计算……",
    done: (best, share) => `${best}，${share}`,
    waiting: "请绘制，或选择一张图片。",
    unreadable: "浏览器无法把这个文件读作图片。",
    proving: "正在与 rot180 比较……",
    proof: (count, difference, limit, holds) =>
      holds
        ? `对 ${count} 个示例，本页给出与 rot180 相同的输出：最大差异为 ${difference}（不超过 ${limit}）。`
        : `本页的输出与 rot180 不符：对 ${count} 个示例，最大差异为 ${difference}（应不超过 ${limit}）。请勿使用。`,
  },
};

const get = (id) => document.getElementById(id);
const [height, width, channels] = program.input_shape;
const canvas = get("canvas"), paint = canvas.getContext("2d", { willReadFrequently: true });
const names = program.class_names ?? Array.from({ length: program.output_shape[0] }, (_, k) => String(k));
let language = navigator.language?.startsWith("zh") ? "zh" : "en";
let state = { said: "waiting" }, proof = null, run = 0, cursor = [height >> 1, width >> 1], shown = 0;

canvas.width = width;
canvas.height = height;

function write() {
  const texts = TEXTS[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = `rot180: ${texts.title}`;
  for (const element of document.querySelectorAll("[data-text]"))
    element.textContent = element.dataset.text === "notation" ? program.notation : texts[element.dataset.text];
  get("language").textContent = texts.other;
  get("language").lang = language === "zh" ? "en" : "zh-CN";
  canvas.setAttribute("aria-label", texts.picture);
  get("said").textContent = state.best === undefined ? texts[state.said] : texts.done(state.best, state.share);
  get("proof").textContent = proof === null ? texts.proving : texts.proof(...proof);
}

function show(probabilities) {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 10);
  get("rows").replaceChildren(
    ...order.map((k) => {
      const row = document.createElement("tr"), name = document.createElement("th"), share = document.createElement("td");
      name.scope = "row";
      name.textContent = names[k];
      share.textContent = percent(probabilities[k]);
      row.style.setProperty("--share", `${100 * probabilities[k]}%`);
      row.append(name, share);
      return row;
    }),
  );
  state = { best: names[order[0]], share: percent(probabilities[order[0]]) };
  write();
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const breathe = () => new Promise((resolve) => setTimeout(resolve));

/** Classify what the canvas shows; a newer call ends this one. */
async function classify() {
  const mine = ++run, data = paint.getImageData(0, 0, width, height).data;
  const pixels = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) pixels[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    else pixels.set([red, green, blue], 3 * i);
  }
  state = { said: "computing" };
  write();
  class Newer extends Error {}
  try {
    show(await predict(pixels.map((value) => (value * program.unit) / 255), async () => {
      await breathe();
      if (mine !== run) throw new Newer();
    }));
  } catch (error) {
    if (!(error instanceof Newer)) throw error;
  }
}

function clear() {
  run++;
  paint.fillStyle = program.dark ? "#000" : "#fff";
  paint.fillRect(0, 0, width, height);
  get("rows").replaceChildren();
  state = { said: "waiting" };
  write();
}

const thickness = Math.max(1.6, Math.min(height, width) / 14);

function stroke([row, column], [toRow, toColumn]) {
  paint.strokeStyle = program.dark ? "#fff" : "#000";
  paint.lineWidth = thickness;
  paint.lineCap = "round";
  paint.beginPath();
  paint.moveTo(column + 0.5, row + 0.5);
  paint.lineTo(toColumn + 0.5, toRow + 0.5001);
  paint.stroke();
}

/** Draw a picture as the training images were resized: stretched, cropped in the middle, or with bars. */
async function open(file) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    state = { said: "unreadable" };
    write();
    return;
  }
  const [way, share] = program.resize, { width: w, height: h } = image;
  clear();
  paint.imageSmoothingQuality = "high";
  if (way === "crop") {
    const scale = Math.min(w / width, h / height) * share;
    const [wide, tall] = [width * scale, height * scale];
    paint.drawImage(image, (w - wide) / 2, (h - tall) / 2, wide, tall, 0, 0, width, height);
  } else if (way === "pad") {
    const scale = Math.min(width / w, height / h);
    paint.fillStyle = "#000";
    paint.fillRect(0, 0, width, height);
    paint.drawImage(image, (width - w * scale) / 2, (height - h * scale) / 2, w * scale, h * scale);
  } else paint.drawImage(image, 0, 0, width, height);
  await classify();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientY - box.top) / box.height) * height - 0.5, ((event.clientX - box.left) / box.width) * width - 0.5];
}

let before = null;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  before = place(event);
  stroke(before, before);
});
canvas.addEventListener("pointermove", (event) => {
  if (before === null) return;
  const now = place(event);
  stroke(before, now);
  before = now;
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (before !== null) classify();
    before = null;
  });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (step) {
    const now = [cursor[0] + step[0], cursor[1] + step[1]];
    if (now[0] >= 0 && now[0] < height && now[1] >= 0 && now[1] < width) cursor = now;
    get("cursor").hidden = false;
    get("cursor").style.top = `${(100 * (cursor[0] + 0.5)) / height}%`;
    get("cursor").style.left = `${(100 * (cursor[1] + 0.5)) / width}%`;
  } else if (event.key === " ") {
    stroke(cursor, cursor);
    classify();
  } else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});
canvas.addEventListener("blur", () => (get("cursor").hidden = true));
get("choose").addEventListener("click", () => get("file").click());
get("file").addEventListener("change", (event) => event.target.files.length && open(event.target.files[0]));
get("clear").addEventListener("click", clear);
get("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  write();
});
get("example").addEventListener("click", () => {
  const { pixels } = examples()[shown++ % program.examples[0]], image = paint.createImageData(width, height);
  for (let i = 0; i < height * width; i++)
    for (let k = 0; k < 4; k++)
      image.data[4 * i + k] = k === 3 ? 255 : (pixels[i * channels + (k % channels)] * 255) / program.unit;
  clear();
  paint.putImageData(image, 0, 0);
  classify();
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    get("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });

async function prove() {
  let largest = 0;
  for (const { pixels, expected } of examples()) {
    const found = await predict(pixels, breathe);
    found.forEach((value, k) => (largest = Math.abs(value - expected[k]) <= largest ? largest : Math.abs(value - expected[k])));
  }
  proof = [program.examples[0], largest.toExponential(1), String(program.tolerance), largest <= program.tolerance];
  document.documentElement.dataset.proof = proof[3] ? "holds" : "fails";
  write();
}

clear();
prove();
