// See comparison_page.h.
#include "leat/report/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/report/comparison_charts.h"

namespace leat {

namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b2430;--muted:#5f6b7a;--line:#d9dee6;
--panel:#f6f8fa;--accent:#1f5fbf;--bad:#b3261e;--grid:#e6e9ee;--edge:#fff;--ink:#10151b;
--c0:#6f9bd1;--c1:#f2a65a;--c2:#7fbf7b;--c3:#e5828a;--c4:#b79ad0;--c5:#7cc5c0;--c6:#e3cb5d;
--c7:#bd9b83;--c8:#b4bbc5}
@media(prefers-color-scheme:dark){:root{--bg:#11161d;--fg:#e4e9ef;--muted:#98a4b3;--line:#2c3541;
--panel:#181f28;--accent:#7fb0f5;--bad:#f2938c;--grid:#252d38;--edge:#11161d;--c0:#5c8ac4;
--c1:#d68d44;--c2:#66a863;--c3:#cf6b74;--c4:#a085bd;--c5:#62aca7;--c6:#c9b045;--c7:#a5846d;
--c8:#858e9a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:28px 24px 60px;background:var(--bg);color:var(--fg);
font:14px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
h1{font-size:24px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:34px 0 8px}
h3{font-size:14px;margin:24px 0 6px}p{margin:0 0 8px}
.muted,.note{color:var(--muted)}.note{font-size:12.5px}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--muted);text-align:left;border-bottom:1px solid var(--line);
padding:5px 8px;font-size:12.5px;white-space:nowrap}
td{padding:5px 8px;border-bottom:1px solid var(--grid);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}td.name{overflow-wrap:anywhere}
td small{color:var(--muted);display:block;font-size:12px}
.bar{height:4px;border-radius:2px;background:var(--accent);margin-top:4px;margin-left:auto;
min-width:1px}
.scroll{max-height:460px;overflow:auto;border:1px solid var(--line);border-radius:8px}
.scroll th{position:sticky;top:0;background:var(--panel);z-index:1}
.wide{overflow-x:auto}
nav{display:flex;flex-wrap:wrap;gap:6px;margin:20px 0 0}
nav button{font:inherit;color:var(--fg);background:var(--panel);border:1px solid var(--line);
border-radius:16px;padding:4px 14px;cursor:pointer}
nav button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:var(--bg)}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:10px;overflow-x:auto}
svg{display:block;width:100%;min-width:720px;height:auto}
svg text{font-size:11px;fill:var(--muted);font-family:inherit}svg text.in{fill:var(--ink);
pointer-events:none}svg text.roof{fill:var(--fg)}
.grid{stroke:var(--grid)}.roof{stroke:var(--fg);stroke-width:1.5;fill:none}
text.roof{stroke:var(--bg);stroke-width:3;paint-order:stroke}
.bound{stroke:var(--bad);stroke-dasharray:5 4}
.k,.m{stroke:var(--edge);stroke-width:.6}
.p{fill-opacity:.72;stroke:var(--fg);stroke-opacity:.45}
.whole{fill:var(--bg);stroke:var(--fg);stroke-width:1.6}
.on{stroke:var(--fg);stroke-width:2;stroke-opacity:1;fill-opacity:1}
tr.on td{background:var(--panel)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:8px 0 12px;font-size:12.5px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}
.c2{fill:var(--c2);background:var(--c2)}.c3{fill:var(--c3);background:var(--c3)}
.c4{fill:var(--c4);background:var(--c4)}.c5{fill:var(--c5);background:var(--c5)}
.c6{fill:var(--c6);background:var(--c6)}.c7{fill:var(--c7);background:var(--c7)}
.c8{fill:var(--c8);background:var(--c8)}
@media print{nav{display:none}.scroll{max-height:none}}
)";

// Shows one device at a time, and marks a kernel wherever it stands. A device is data-d.
constexpr std::string_view kScript = R"(
window.onerror=m=>{document.documentElement.dataset.error=m};
const all=(s,r)=>Array.from((r||document).querySelectorAll(s));
function show(d){all('section[data-d]').forEach(s=>s.hidden=s.dataset.d!==d);
all('nav button').forEach(b=>b.setAttribute('aria-pressed',b.dataset.d===d))}
all('nav button').forEach(b=>b.onclick=()=>show(b.dataset.d));
const first=document.querySelector('nav button');if(first)show(first.dataset.d);
let marked=[];
document.addEventListener('mouseover',e=>{marked.forEach(x=>x.classList.remove('on'));marked=[];
const t=e.target.closest('[data-k]'),s=t&&t.closest('section');if(!s)return;
marked=all('[data-k="'+t.dataset.k+'"]',s);marked.forEach(x=>x.classList.add('on'))});
document.documentElement.dataset.ready='yes';
)";

std::string cell(const std::string& words, std::string_view kind = "n") {
  return fmt::format("<td class=\"{}\">{}</td>", kind, words);
}

std::string optional_text(const std::optional<double>& value, double scale, std::string_view unit,
                          std::string_view missing) {
  return value ? short_number(*value * scale) + std::string(unit)
               : fmt::format("<span class=\"muted\">{}</span>", missing);
}

std::string error_text(const ComparedDevice& device) {
  if (device.nonfinite > 0) {
    return fmt::format("<span class=\"bad\">{} not finite</span>", device.nonfinite);
  }
  return optional_text(device.max_error, 1, "", device.is_reference ? "reference" : "not compared");
}

std::string name_cell(const ComparedDevice& device) {
  return fmt::format("<td class=\"name\">{}<small>{}{}</small></td>", html_escaped(device.name),
                     html_escaped(device.chip), device.software ? ", software" : "");
}

std::string device_row(const ComparedDevice& device, double slowest_ms) {
  const std::string name = "<tr class=\"row\">" + name_cell(device);
  if (!device.is_measured()) {
    return fmt::format("{}<td colspan=\"8\" class=\"bad\">{}</td></tr>\n", name,
                       html_escaped(device.failure));
  }
  const double width = slowest_ms > 0 ? device.median_ms / slowest_ms * 100 : 0;
  return name +
         cell(fmt::format("{}<div class=\"bar\" style=\"width:{:.1f}%\"></div>",
                          time_text(device.median_ms * 1e3), width)) +
         cell(time_text(device.p99_ms * 1e3)) + cell(short_number(device.gflops)) +
         cell(optional_text(device.peak_share, 100, " %", "busy")) +
         cell(optional_text(device.joules, 1e3, " mJ", "not told")) + cell(error_text(device)) +
         cell(std::to_string(device.kernels.size())) +
         cell(size_text(device.planned_bytes + device.weights_bytes)) + "</tr>\n";
}

std::string devices_table(const Comparison& comparison) {
  double slowest_ms = 0;
  for (const ComparedDevice& device : comparison.devices) {
    slowest_ms = std::max(slowest_ms, device.median_ms);
  }
  std::string html =
      "<div class=\"wide\"><table id=\"devices\"><thead><tr><th>Device</th>"
      "<th class=\"n\">Median</th><th class=\"n\">99 % within</th><th class=\"n\">GFLOPS</th>"
      "<th class=\"n\">Of peak</th><th class=\"n\">Energy</th><th class=\"n\">Largest error</th>"
      "<th class=\"n\">Kernels</th><th class=\"n\">Memory</th></tr></thead><tbody>\n";
  for (const ComparedDevice& device : comparison.devices) html += device_row(device, slowest_ms);
  return html + "</tbody></table></div>\n";
}

std::string legend(const OpColours& colours, bool has_others) {
  std::string html = "<div class=\"legend\">";
  for (const std::string& op : colours.named()) {
    html +=
        fmt::format("<span><i class=\"{}\"></i>{}</span>", colours.class_of(op), html_escaped(op));
  }
  if (has_others) html += fmt::format("<span><i class=\"c{}\"></i>others</span>", kOpColours);
  return html + "</div>\n";
}

std::string schedule_row(const ComparedKernel& kernel, size_t index, double longest_us,
                         double whole_us) {
  return fmt::format(
             "<tr data-k=\"{}\"><td class=\"n\">{}</td><td class=\"name\">{}<small>{}"
             "</small></td><td>{}</td><td>{}</td>",
             index, index, html_escaped(kernel.name), html_escaped(kernel.params),
             html_escaped(kernel.op), html_escaped(kernel.shape)) +
         cell(fmt::format("{}<div class=\"bar\" style=\"width:{:.1f}%\"></div>",
                          time_text(kernel.time_us),
                          longest_us > 0 ? kernel.time_us / longest_us * 100 : 0)) +
         cell(fmt::format("{:.1f} %", whole_us > 0 ? kernel.time_us / whole_us * 100 : 0)) +
         cell(kernel.flop > 0 ? short_number(kernel.gflops()) : "") +
         cell(kernel.flop > 0 ? short_number(kernel.intensity()) : "") + "</tr>\n";
}

std::string schedule_table(const ComparedDevice& device) {
  double longest_us = 0;
  double whole_us = 0;
  for (const ComparedKernel& kernel : device.kernels) {
    longest_us = std::max(longest_us, kernel.time_us);
    whole_us += kernel.time_us;
  }
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th class=\"n\">#</th><th>Kernel</th>"
      "<th>Operator</th><th>Result</th><th class=\"n\">Time</th><th class=\"n\">Share</th>"
      "<th class=\"n\">GFLOPS</th><th class=\"n\">FLOP/byte</th></tr></thead><tbody>\n";
  for (size_t i = 0; i < device.kernels.size(); ++i) {
    html += schedule_row(device.kernels[i], i, longest_us, whole_us);
  }
  return html + "</tbody></table></div>\n";
}

std::string facts_line(const ComparedDevice& device) {
  std::string facts = fmt::format(
      "{}, route {}, {}; median of {} runs", html_escaped(device.chip), html_escaped(device.route),
      html_escaped(device.driver.empty() ? "no driver" : device.driver), device.run_ms.size());
  if (device.threads > 1) facts += fmt::format(", {} threads", device.threads);
  if (device.clock_mhz) facts += fmt::format(", {:.0f} MHz under load", *device.clock_mhz);
  if (device.f64_as_f32) facts += ", f64 computed as f32";
  if (device.rounded_products > 0) {
    facts += fmt::format(", {} of {} products rounded", device.rounded_products, device.products);
  }
  return facts + fmt::format("; weights {}, activations {} (at least {}), reserved {}",
                             size_text(device.weights_bytes), size_text(device.planned_bytes),
                             size_text(device.lower_bound_bytes), size_text(device.reserved_bytes));
}

std::string picture(std::string_view title, const std::string& svg, const std::string& note) {
  if (svg.empty()) return "";
  return fmt::format("<h3>{}</h3>\n<figure>{}</figure>\n<p class=\"note\">{}</p>\n", title, svg,
                     note);
}

std::string device_section(const ComparedDevice& device, const OpColours& colours) {
  const bool has_others = std::ranges::any_of(device.kernels, [&](const ComparedKernel& kernel) {
    return colours.class_of(kernel.op) == fmt::format("c{}", kOpColours);
  });
  const size_t unseen = device.kernels.size() - roofline_points(device);
  return fmt::format("<section data-d=\"{0}\"><h2>{0}</h2>\n<p class=\"muted\">{1}</p>\n",
                     html_escaped(device.name), facts_line(device)) +
         legend(colours, has_others) +
         picture(
             "Roofline", roofline_svg(device, colours),
             fmt::format("A point is a kernel, its area the share of the time; the diamond is "
                         "the whole network. What fits into caches can be above the line of "
                         "memory.{}",
                         unseen > 0
                             ? fmt::format(" Not shown, for they have no FLOP: {} of {} kernels.",
                                           unseen, device.kernels.size())
                             : "")) +
         picture(
             "Time line", timeline_svg(device, colours),
             "Each kernel's shortest time of several runs with a mark behind each, so that none "
             "overlaps the next.") +
         picture("Memory", memory_svg(device, colours),
                 "Where each tensor lies in the arena, and from which kernel to which. The dashed "
                 "line is the largest sum of tensors that are needed at once.") +
         "<h3>Schedule</h3>\n" + schedule_table(device) + "</section>\n";
}

std::string head(const Comparison& comparison) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<title>{}, compared</title>\n<style>{}</style></head>\n<body>\n",
      html_escaped(comparison.name), kStyle);
}

std::string summary(const Comparison& comparison) {
  const auto measured = std::ranges::count_if(comparison.devices, &ComparedDevice::is_measured);
  std::string html = fmt::format(
      "<h1>{}</h1>\n<p class=\"muted\">{}, {} GFLOP a run; {} of {} "
      "devices and routes measured{}.<br>",
      html_escaped(comparison.name), html_escaped(comparison.model), short_number(comparison.gflop),
      measured, comparison.devices.size(), comparison.interrupted ? ", then interrupted" : "");
  for (const std::string& input : comparison.inputs) html += html_escaped(input) + "; ";
  return html + fmt::format("inputs: {}.<br>{}; {}; leat {}.</p>\n",
                            html_escaped(comparison.input_source), html_escaped(comparison.host),
                            html_escaped(comparison.date), html_escaped(comparison.version));
}

}  // namespace

std::string html_page(const Comparison& comparison) {
  const OpColours colours(comparison);
  std::string html = head(comparison) + summary(comparison) + devices_table(comparison);
  html += fmt::format(
      "<p class=\"note\">Time from submit to fence, after the device was warm. Peak: multiply-adds "
      "on registers, measured on the same device. Error: the largest difference, in shares of the "
      "output's largest value, from {}. Memory: weights and activations as planned.</p>\n<nav>",
      html_escaped(comparison.reference));
  for (const ComparedDevice& device : comparison.devices) {
    if (!device.is_measured()) continue;
    html += fmt::format("<button type=\"button\" data-d=\"{0}\">{0}</button>",
                        html_escaped(device.name));
  }
  html += "</nav>\n";
  for (const ComparedDevice& device : comparison.devices) {
    if (device.is_measured()) html += device_section(device, colours);
  }
  return html + fmt::format("<script>{}</script>\n</body></html>\n", kScript);
}

}  // namespace leat
