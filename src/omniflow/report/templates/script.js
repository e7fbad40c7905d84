// Comfort only: without this script, and in print, everything is shown one below the other.
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
  window.addEventListener("beforeprint", function () {
    each("details", function (box) { box.open = true; });
  });
  select.addEventListener("change", function () { pick(select.value); });
  select.parentNode.hidden = select.options.length < 3;
  pick(select.options[0].value);
})();
