// The layers of a network as cards that are joined by lines. Moved by scrolling or dragging, zoomed
// with the buttons, two fingers or the wheel with Ctrl, walked through with the arrow keys.

const LEAST = 0.1;
const MOST = 2;
const STEP = 1.25;
// Names are 12 pixels high then.
const LEGIBLE = 0.86;
const MARGIN = 10;

export default function ({ data, parentElement }) {
  const drawn = parentElement.layerMap;
  if (drawn?.content === data.content && parentElement.contains(drawn.root)) return;
  const map = { content: data.content, zoom: 1, current: 0 };
  // Where one was stays where it is if only thumbnails are others now.
  const before = drawn?.shape === data.shape ? drawn : null;
  map.shape = data.shape;
  build(map, data);
  drawn ? drawn.root.replaceWith(map.root) : parentElement.append(map.root);
  parentElement.layerMap = map;
  begin(map, data, before);
}

function element(kind, className, inside = []) {
  const made = document.createElement(kind);
  made.className = className;
  made.append(...inside);
  return made;
}

function build(map, data) {
  map.sheet = element("div", "sheet");
  map.sheet.style.width = data.width + "px";
  map.sheet.style.height = data.height + "px";
  map.canvas = element("div", "canvas", [map.sheet]);
  map.view = element("div", "view", [map.canvas]);
  map.view.setAttribute("role", "group");
  map.view.setAttribute("aria-label", data.alt);
  map.root = element("div", "root", [toolbar(map, data), map.view]);
  map.root.style.setProperty("--tiles", `url(data:image/png;base64,${data.tiles.png})`);
  map.root.style.setProperty("--photo", `url(data:image/png;base64,${data.photo})`);
  map.sheet.append(...data.frames.map(frame), lines(map, data));
  map.nodes = data.nodes.map((node, number) => card(map, data, node, number));
  map.sheet.append(...map.nodes);
  listen(map, data);
}

function put(made, [left, top, width, height]) {
  Object.assign(made.style, {
    left: left + "px", top: top + "px", width: width + "px", height: height + "px",
  });
}

function frame({ title, box }) {
  const made = element("div", "frame", [element("span", "", [title])]);
  put(made, box);
  made.title = title;
  return made;
}

function card(map, data, node, number) {
  const made = element(node.href ? "a" : "div", "node " + node.family);
  put(made, node.box);
  if (node.tile !== null) made.append(thumbnail(data, node));
  made.append(
    element("div", "words", [
      element("div", "name", [node.title]),
      element("div", "", [node.kinds]),
      element("div", "", [node.facts]),
    ]),
  );
  made.title = node.alt;
  made.setAttribute("aria-label", node.alt);
  made.tabIndex = number === 0 ? 0 : -1;
  if (node.href) {
    made.href = node.href;
    made.draggable = false;
  } else {
    made.setAttribute("role", "group");
  }
  return made;
}

function thumbnail(data, node) {
  const made = element("div", "thumb");
  const { columns, width, height } = data.tiles;
  const photo = node.tile < 0;
  const column = photo ? 0 : node.tile % columns;
  const row = photo ? 0 : Math.floor(node.tile / columns);
  Object.assign(made.style, {
    width: width + "px",
    height: height + "px",
    backgroundImage: photo ? "var(--photo)" : "var(--tiles)",
    backgroundPosition: `${-column * width}px ${-row * height}px`,
  });
  if (photo) made.style.backgroundSize = "100% 100%";
  return made;
}

function lines(map, data) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("width", data.width);
  made.setAttribute("height", data.height);
  made.setAttribute("aria-hidden", "true");
  map.edges = data.edges.map(({ points }) => {
    const path = document.createElementNS(made.namespaceURI, "path");
    path.setAttribute("class", "edge");
    path.setAttribute("d", curve(points));
    const tip = document.createElementNS(made.namespaceURI, "path");
    const [x, y] = points.at(-1);
    tip.setAttribute("class", "tip");
    tip.setAttribute("d", `M${x - 4} ${y - 7}L${x + 4} ${y - 7}L${x} ${y}Z`);
    made.append(path, tip);
    return path;
  });
  return made;
}

function curve(points) {
  let d = `M${points[0]}`;
  for (let i = 1; i < points.length; i++) {
    const [x, y] = points[i];
    const [a, b] = points[i - 1];
    const middle = (y + b) / 2;
    d += x === a ? `L${x} ${y}` : `C${a} ${middle} ${x} ${middle} ${x} ${y}`;
  }
  return d;
}

// Zooming and moving.

function toolbar(map, data) {
  const { said } = data;
  const button = (text, label, press) => {
    const made = element("button", "", [text]);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.title = label;
    made.onclick = press;
    return made;
  };
  map.size = button("100 %", said.full_size, () => zoom(map, data, 1));
  map.found = element("span", "found");
  map.found.setAttribute("role", "status");
  const search = element("input", "");
  search.type = "search";
  search.placeholder = said.find;
  search.setAttribute("aria-label", said.help_find);
  search.oninput = () => find(map, data, search.value, 0);
  search.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    find(map, data, search.value, event.shiftKey ? -1 : 1);
  };
  return element("div", "bar", [
    button("−", said.smaller, () => zoom(map, data, map.zoom / STEP)),
    map.size,
    button("+", said.larger, () => zoom(map, data, map.zoom * STEP)),
    button(said.width, said.help_width, () => zoom(map, data, fitting(map, data))),
    button(said.all, said.help_all, () => zoom(map, data, fitting(map, data, true))),
    search,
    map.found,
  ]);
}

function fitting(map, data, all = false) {
  const across = (map.view.clientWidth - 2 * MARGIN) / data.width;
  const down = (map.view.clientHeight - 2 * MARGIN) / data.height;
  return all ? Math.min(across, down) : across;
}

function zoom(map, data, wanted, x = map.view.clientWidth / 2, y = map.view.clientHeight / 2) {
  const value = Math.min(MOST, Math.max(LEAST, wanted));
  const left = (map.view.scrollLeft + x - map.sheet.offsetLeft) / map.zoom;
  const top = (map.view.scrollTop + y - MARGIN) / map.zoom;
  map.zoom = value;
  // A picture of everything still has to fit where the smallest zoom is larger.
  const width = data.width * value + 2 * MARGIN;
  map.canvas.style.width = Math.max(width, map.view.clientWidth) + "px";
  map.canvas.style.height = data.height * value + 2 * MARGIN + "px";
  const room = Math.max(MARGIN, (map.view.clientWidth - data.width * value) / 2);
  map.sheet.style.left = room + "px";
  map.sheet.style.top = MARGIN + "px";
  map.sheet.style.transform = `scale(${value})`;
  map.view.scrollLeft = left * value - x + room;
  map.view.scrollTop = top * value - y + MARGIN;
  map.size.textContent = Math.round(100 * value) + " %";
}

function begin(map, data, before) {
  const tallest = Math.min(720, Math.max(320, 0.72 * innerHeight));
  const start = Math.min(1, Math.max(LEGIBLE, fitting(map, data)));
  const needed = data.height * start + 2 * MARGIN + 16;
  map.view.style.height = Math.min(tallest, needed) + "px";
  zoom(map, data, before?.zoom ?? start);
  map.view.scrollTop = before?.top ?? 0;
  const first = data.nodes[0].box;
  const middle = (first[0] + first[2] / 2) * map.zoom + map.sheet.offsetLeft;
  map.view.scrollLeft = before?.left ?? middle - map.view.clientWidth / 2;
  new ResizeObserver(() => zoom(map, data, map.zoom)).observe(map.view);
  map.view.addEventListener("scroll", () => {
    map.left = map.view.scrollLeft;
    map.top = map.view.scrollTop;
  });
}

// What people do.

function listen(map, data) {
  map.view.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = map.view.getBoundingClientRect();
      const factor = Math.exp(-event.deltaY / 300);
      zoom(map, data, map.zoom * factor, event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );
  pinch(map, data);
  drag(map);
  map.nodes.forEach((node, number) => {
    node.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || !data.nodes[number].href) return;
      event.preventDefault();
      follow(data.nodes[number].href);
    };
    node.onfocus = () => { stop(map, number); highlight(map, data, number); };
    node.onblur = () => highlight(map, data, null);
    node.onmouseenter = () => highlight(map, data, number);
    node.onmouseleave = () => highlight(map, data, null);
    node.onkeydown = (event) => walk(map, data, number, event);
  });
}

// As by the browser's own arrows: a link followed by the browser would begin a new session, without
// the files that were uploaded in this one.
function follow(address) {
  history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

function stop(map, number) {
  map.nodes[map.current].tabIndex = -1;
  map.current = number;
  map.nodes[number].tabIndex = 0;
}

function highlight(map, data, number) {
  data.edges.forEach(({ from, to }, i) => {
    map.edges[i].classList.toggle("near", number !== null && (from === number || to === number));
  });
}

function walk(map, data, number, event) {
  const [left, top] = data.nodes[number].box;
  const level = data.nodes
    .map(({ box }, i) => [box[0], i, box[1]])
    .filter(([, , y]) => y === top)
    .sort(([a], [b]) => a - b);
  const ends = {
    ArrowDown: () => data.edges.find(({ from }) => from === number)?.to,
    ArrowUp: () => data.edges.find(({ to }) => to === number)?.from,
    ArrowRight: () => level.find(([x]) => x > left)?.[1],
    ArrowLeft: () => level.findLast(([x]) => x < left)?.[1],
    Home: () => 0,
    End: () => data.nodes.length - 1,
  };
  if (!(event.key in ends)) return;
  event.preventDefault();
  show(map, ends[event.key]());
}

function show(map, number, focus = true) {
  if (number === undefined) return;
  const node = map.nodes[number];
  if (focus) node.focus({ preventScroll: true });
  const [inner, outer] = [node.getBoundingClientRect(), map.view.getBoundingClientRect()];
  const near = (low, high, from, to) => {
    if (low >= from + 40 && high <= to - 40) return 0;
    return (low + high) / 2 - (from + to) / 2;
  };
  map.view.scrollBy(
    near(inner.left, inner.right, outer.left, outer.right),
    near(inner.top, inner.bottom, outer.top, outer.bottom),
  );
}

function find(map, data, text, step) {
  const wanted = text.trim().toLowerCase();
  const hits = data.nodes.flatMap(({ words }, i) =>
    wanted && words.toLowerCase().includes(wanted) ? [i] : [],
  );
  map.nodes.forEach((node, i) => node.classList.toggle("hit", hits.includes(i)));
  map.hit = hits.length ? ((step ? map.hit ?? 0 : 0) + step + hits.length) % hits.length : 0;
  map.found.textContent = wanted ? counted(data.said, map.hit + 1, hits.length) : "";
  if (!hits.length) return;
  stop(map, hits[map.hit]);
  highlight(map, data, hits[map.hit]);
  show(map, hits[map.hit], false);
}

function counted(said, number, count) {
  if (!count) return said.none;
  return said.found.replace("{number}", number).replace("{count}", count);
}

function drag(map) {
  let start = null;
  map.view.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) {
      start = [event.clientX, event.clientY, map.view.scrollLeft, map.view.scrollTop];
    }
  });
  map.view.addEventListener("pointermove", (event) => {
    if (!start || event.buttons !== 1) return;
    const [x, y] = [event.clientX - start[0], event.clientY - start[1]];
    if (Math.abs(x) + Math.abs(y) < 5 && !map.view.classList.contains("dragged")) return;
    if (!map.view.classList.contains("dragged")) map.view.setPointerCapture(event.pointerId);
    map.view.classList.add("dragged");
    map.view.scrollTo(start[2] - x, start[3] - y);
  });
  const end = () => {
    start = null;
    // The click that ends a drag comes after this.
    setTimeout(() => map.view.classList.remove("dragged"));
  };
  map.view.addEventListener("pointerup", end);
  map.view.addEventListener("pointercancel", end);
  map.view.addEventListener(
    "click",
    (event) => {
      if (!map.view.classList.contains("dragged")) return;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true },
  );
}

function pinch(map, data) {
  let before = null;
  const middle = ({ touches: [a, b] }) => {
    const box = map.view.getBoundingClientRect();
    const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    return [apart, (a.clientX + b.clientX) / 2 - box.left, (a.clientY + b.clientY) / 2 - box.top];
  };
  map.view.addEventListener("touchstart", (event) => {
    before = event.touches.length === 2 ? middle(event)[0] : null;
  });
  map.view.addEventListener(
    "touchmove",
    (event) => {
      if (before === null || event.touches.length !== 2) return;
      event.preventDefault();
      const [apart, x, y] = middle(event);
      zoom(map, data, (map.zoom * apart) / before, x, y);
      before = apart;
    },
    { passive: false },
  );
}
