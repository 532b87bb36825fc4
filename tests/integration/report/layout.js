// What a page looks like within frames of several widths: words that lie over each other, are cut off, or make the page wider.
(() => {
  const corners = (element) => {
    const box = element.getBBox(), map = element.getScreenCTM();
    const { x, y, width, height } = box, inset = Math.min(2, height / 5);
    return [[x + 1, y + inset], [x + width - 1, y + inset], [x + width - 1, y + height - inset], [x + 1, y + height - inset]]
      .map(([a, b]) => [map.a * a + map.c * b + map.e, map.b * a + map.d * b + map.f]);
  };
  const upright = ({ left, top, right, bottom }) => [[left + 1, top + 2], [right - 1, top + 2], [right - 1, bottom - 2], [left + 1, bottom - 2]];
  // Two convex shapes are apart when a line along one of their sides separates them.
  const apart = (one, other) => [one, other].some((shape) => shape.some(([x, y], place) => {
    const [u, v] = shape[(place + 1) % shape.length], along = (points) => points.map(([a, b]) => a * (y - v) + b * (u - x));
    const mine = along(one), theirs = along(other);
    return Math.max(...mine) <= Math.min(...theirs) || Math.max(...theirs) <= Math.min(...mine);
  }));
  const pairs = (found, said) => {
    for (let i = 0; i < found.length; i++) for (let j = 0; j < i; j++)
      if (!apart(found[i][1], found[j][1])) said.push(`"${found[j][0]}" and "${found[i][0]}" lie over each other`);
  };
  const look = (page, width) => {
    const said = [], root = page.documentElement;
    if (root.scrollWidth > width) said.push(`the page is ${root.scrollWidth} pixels wide`);
    page.querySelectorAll("details").forEach((one) => { one.open = true; });
    for (const svg of page.querySelectorAll("svg")) {
      const texts = [...svg.querySelectorAll("text")].filter((text) => text.getBBox().width > 0);
      const name = (text) => [...text.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").slice(0, 40);
      const found = texts.map((text) => [name(text), corners(text)]), within = svg.getBoundingClientRect(), of = [];
      pairs(found, of);
      for (const [words, shape] of found)
        if (shape.some(([x, y]) => x < within.left - 1 || x > within.right + 1 || y < within.top - 1 || y > within.bottom + 1))
          of.push(`"${words}" is cut off`);
      said.push(...of.map((problem) => `${svg.querySelector("title").textContent.slice(0, 60)}: ${problem}`));
    }
    const found = [], walker = page.createTreeWalker(page.body, 4);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (!node.data.trim() || node.parentElement.closest("svg")) continue;
      const range = page.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) if (box.width > 3) found.push([node.data.trim().slice(0, 40), upright(box)]);
    }
    found.sort((one, other) => one[1][0][1] - other[1][0][1]);
    for (let i = 0; i < found.length; i++)
      for (let j = i - 1; j >= 0 && j > i - 60; j--)
        if (!apart(found[i][1], found[j][1])) said.push(`"${found[j][0]}" and "${found[i][0]}" lie over each other`);
    return said;
  };
  window.addEventListener("load", () => {
    const all = {};
    for (const frame of document.querySelectorAll("iframe"))
      all[frame.title] = { texts: frame.contentDocument.querySelectorAll("svg text").length, said: look(frame.contentDocument, frame.clientWidth).slice(0, 20) };
    const told = document.createElement("pre");
    told.id = "told";
    told.textContent = JSON.stringify(all);
    document.body.replaceChildren(told);
  });
})();
