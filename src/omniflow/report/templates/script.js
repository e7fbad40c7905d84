// Figures, which are drawn when they are first seen, the numbers of their points, and comfort: in
// print everything is shown one below the other.
(function () {
  "use strict";
  var each = function (selector, action) { document.querySelectorAll(selector).forEach(action); };
  var press = function (buttons, name) {
    buttons.forEach(function (b) { b.setAttribute("aria-pressed", String(b.dataset.show === name)); });
  };
  var select = document.getElementById("observable");
  var pick = function (name) {
    each("[data-observable]", function (block) {
      block.classList.toggle("off", name !== "*" && block.dataset.observable !== name);
    });
    each("[data-pick]", function (bar) { press(bar.querySelectorAll("button"), name); });
    select.value = name;
  };
  each("[data-pick]", function (bar) {
    bar.hidden = false;
    bar.addEventListener("click", function (event) {
      if (!event.target.dataset.show) { return; }
      var before = bar.getBoundingClientRect().top;
      pick(event.target.dataset.show);
      window.scrollBy(0, bar.getBoundingClientRect().top - before);
    });
  });
  each("[data-tabs]", function (bar) {
    var buttons = bar.querySelectorAll("button");
    var show = function (name) {
      press(buttons, name);
      each('[data-tab="' + bar.dataset.tabs + '"]', function (panel) {
        panel.classList.toggle("off", panel.dataset.name !== name);
      });
    };
    bar.hidden = buttons.length < 2;
    bar.addEventListener("click", function (event) {
      if (event.target.dataset.show) { show(event.target.dataset.show); }
    });
    show(buttons[0].dataset.show);
  });

  // Figures: one compressed text, unpacked at once, of which each is drawn when it comes near.
  var figures = [];
  var draw = function (box) {
    if (box.firstChild || !figures.length) { return; }
    box.innerHTML = '<svg viewBox="' + box.dataset.box + '" aria-hidden="true">' +
      figures[box.dataset.figure][0] + "</svg>";
  };
  var unpack = function () {
    var packed = document.getElementById("figures");
    var bytes = Uint8Array.from(atob(packed.textContent), function (c) { return c.charCodeAt(0); });
    packed.remove();
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };
  var start = function (content) {
    var shared = document.createElement("div");
    shared.className = "shared";
    shared.innerHTML = '<svg width="0" height="0" aria-hidden="true"><defs>' +
      content.shared + "</defs></svg>";
    document.body.append(shared);
    figures = content.figures;
    var seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (entry.isIntersecting) { draw(entry.target); seen.unobserve(entry.target); }
      });
    }, { rootMargin: "800px 0px" });
    each("[data-figure]", function (box) { seen.observe(box); });
    document.documentElement.dataset.figures = "ready";
  };
  var fail = function () { document.getElementById("undrawn").hidden = false; };
  if (window.DecompressionStream) { unpack().then(start).catch(fail); } else { fail(); }

  // Print has every figure, and what is folded away; afterwards the page is as it was.
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = Array.from(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (box) { box.open = true; });
    each("[data-figure]", draw);
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (box) { box.open = false; });
  });

  // Links to what is folded away unfold it.
  var unfold = function () {
    var target = document.getElementById(location.hash.slice(1));
    var box = target && target.querySelector(":scope > details.fold");
    if (box) { box.open = true; }
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  // The numbers of the nearest point: by pointer, by touch, and by arrow keys in a figure.
  var REACH = 22;
  var tip = document.getElementById("tip");
  var ring = document.getElementById("ring");
  var current = { box: null, series: 0, point: 0 };
  var hide = function () { tip.hidden = ring.hidden = true; current.box = null; };
  var scale = function (box) { return box.clientWidth / Number(box.dataset.box.split(" ")[2]); };
  var show = function (box, series, point) {
    var one = figures[box.dataset.figure][1][series];
    var at = one[2][point];
    var frame = box.getBoundingClientRect();
    var x = frame.left + window.scrollX + at[0] * scale(box);
    var y = frame.top + window.scrollY + at[1] * scale(box);
    current = { box: box, series: series, point: point };
    tip.replaceChildren();
    [one[0], at[2], at[3]].forEach(function (text, line) {
      var row = document.createElement(line === 2 ? "b" : "span");
      row.textContent = text;
      if (line === 0) { row.style.borderColor = one[1]; }
      tip.append(row);
    });
    tip.hidden = ring.hidden = false;
    ring.style.left = x + "px";
    ring.style.top = y + "px";
    ring.style.borderColor = one[1];
    var width = document.documentElement.clientWidth;
    tip.style.left = Math.max(4, Math.min(x + 14, window.scrollX + width - tip.offsetWidth - 4)) + "px";
    tip.style.top = Math.max(window.scrollY + 4, y - tip.offsetHeight - 14) + "px";
  };
  var nearest = function (box, event) {
    var frame = box.getBoundingClientRect();
    var best = null;
    var least = REACH * REACH;
    figures[box.dataset.figure][1].forEach(function (one, series) {
      one[2].forEach(function (at, point) {
        var dx = frame.left + at[0] * scale(box) - event.clientX;
        var dy = frame.top + at[1] * scale(box) - event.clientY;
        if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = [series, point]; }
      });
    });
    return best;
  };
  var point = function (event) {
    var box = event.target.closest("[data-figure]");
    var found = box && figures.length && nearest(box, event);
    if (found) { show(box, found[0], found[1]); } else if (!tip.hidden) { hide(); }
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  var moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.addEventListener("keydown", function (event) {
    var box = event.target.closest("[data-figure]");
    if (event.key === "Escape") { hide(); }
    var all = box && figures.length && figures[box.dataset.figure][1];
    var move = moves[event.key];
    if (!all || !all.length || !move) { return; }
    event.preventDefault();
    if (current.box !== box) { show(box, 0, 0); return; }
    var series = (current.series + move[0] + all.length) % all.length;
    var count = all[series][2].length;
    show(box, series, Math.max(0, Math.min(current.point + move[1], count - 1)));
  });
  document.addEventListener("focusout", hide);
  window.addEventListener("resize", hide);

  select.addEventListener("change", function () { pick(select.value); });
  select.parentNode.hidden = select.options.length < 3;
  pick(select.options[0].value);
})();
