// See comparison_charts.h.
#include "leat/report/comparison_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "leat/base/printable.h"

namespace leat {

namespace {

constexpr double kWidth = 1080;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 14;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kCharWidth = 6.4;  // of the text inside boxes, 11 px
constexpr size_t kNameBytesMax = 200;

std::string open_svg(double height, std::string_view label) {
  return fmt::format("<svg viewBox=\"0 0 {} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                     height, label);
}

std::string line(double x1, double y1, double x2, double y2, std::string_view kind) {
  return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                     kind, x1, y1, x2, y2);
}

std::string text(double x, double y, std::string_view anchor, const std::string& words,
                 std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>", x, y, anchor,
                     more, words);
}

/// As much of the name as fits, if enough does to be told from others.
std::string label_inside(double x, double y, double width, const std::string& name) {
  const auto room = static_cast<size_t>(std::max(0.0, (width - 8) / kCharWidth));
  const std::string whole = printable(name, kNameBytesMax);
  if (room < 4 || (room < whole.size() && room < 6)) return "";
  const bool is_ascii = std::ranges::all_of(whole, [](char c) { return c > 0; });
  if (!is_ascii && room < whole.size()) return "";  // nothing is cut inside a letter
  const std::string shown = room < whole.size()
                                ? html_escaped(whole.substr(0, room - 1)) + "&#8230;"
                                : html_escaped(whole);
  return text(x + 4, y, "start", shown, " class=\"in\"");
}

double total_us(const ComparedDevice& device) {
  return device.kernels.empty() ? 0
                                : device.kernels.back().begin_us + device.kernels.back().time_us;
}

std::string title_of(const ComparedKernel& kernel, size_t index, double whole_us) {
  std::string title =
      fmt::format("{}: {}\n{} {}\n{} ({:.1f} %)", index, printable(kernel.name, kNameBytesMax),
                  kernel.op, kernel.shape, time_text(kernel.time_us),
                  whole_us > 0 ? kernel.time_us / whole_us * 100 : 0.0);
  if (kernel.flop > 0) {
    title += fmt::format("\n{} GFLOPS, {} FLOP per byte", short_number(kernel.gflops()),
                         short_number(kernel.intensity()));
  }
  return "<title>" + html_escaped(title) + "</title>";
}

// --- Roofline ------------------------------------------------------------------------------------

constexpr double kRoofHeight = 420;
constexpr double kRoofBottom = 44;

/// A logarithmic axis between two powers of ten.
struct LogAxis {
  int low = 0;  // powers
  int high = 1;
  double from = 0;  // pixels
  double to = 1;

  double at(double value) const {
    return from + (to - from) * (std::log10(value) - low) / (high - low);
  }
  double low_value() const { return std::pow(10.0, low); }
  double high_value() const { return std::pow(10.0, high); }
};

LogAxis axis_over(double low, double high, double from, double to) {
  LogAxis axis = {.from = from, .to = to};
  axis.low = static_cast<int>(std::floor(std::log10(low)));
  axis.high = std::max(axis.low + 1, static_cast<int>(std::ceil(std::log10(high))));
  return axis;
}

bool is_point(const ComparedKernel& kernel) {
  return kernel.flop > 0 && kernel.time_us > 0 && kernel.bytes > 0;
}

std::string power_text(int power) {
  return power >= -3 && power <= 5 ? fmt::format("{}", std::pow(10.0, power))
                                   : fmt::format("1e{}", power);
}

std::string grid(const LogAxis& x, const LogAxis& y) {
  std::string svg;
  for (int power = x.low; power <= x.high; ++power) {
    const double at = x.at(std::pow(10.0, power));
    svg += line(at, y.from, at, y.to, "grid") + text(at, y.from + 16, "middle", power_text(power));
  }
  for (int power = y.low; power <= y.high; ++power) {
    const double at = y.at(std::pow(10.0, power));
    svg += line(x.from, at, x.to, at, "grid") + text(x.from - 8, at + 4, "end", power_text(power));
  }
  svg += text((x.from + x.to) / 2, y.from + 36, "middle", "FLOP per byte");
  svg += text(14, (y.from + y.to) / 2, "middle", "GFLOPS",
              fmt::format(" transform=\"rotate(-90 14 {:.1f})\"", (y.from + y.to) / 2));
  return svg + "\n";
}

/// What memory and the multiply-adds allow; only the latter where the former is not known.
std::string roof(const ComparedDevice& device, const LogAxis& x, const LogAxis& y) {
  if (device.peak_gflops <= 0) return "";
  const double peak = device.peak_gflops;
  const double rate = device.copy_gbps.value_or(0);
  const std::string peak_label =
      fmt::format("{} GFLOPS, multiply-adds measured", short_number(peak));
  if (rate <= 0) {
    return line(x.from, y.at(peak), x.to, y.at(peak), "roof") +
           text(x.to, y.at(peak) - 32, "end", peak_label, " class=\"roof\"") + "\n";
  }
  const double ridge = std::clamp(peak / rate, x.low_value(), x.high_value());
  const double start = std::clamp(y.low_value() / rate, x.low_value(), ridge);
  const double x0 = x.at(start);
  const double y0 = y.at(std::max(rate * start, y.low_value()));
  const double x1 = x.at(ridge);
  const double y1 = y.at(peak);
  const double angle = std::atan2(y1 - y0, x1 - x0) * 180 / std::numbers::pi;
  const double middle_x = x0 + (x1 - x0) * 0.5;
  const double middle_y = y0 + (y1 - y0) * 0.5;
  return fmt::format(
             "<polyline class=\"roof\" points=\"{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\"/>", x0,
             y0, x1, y1, x.to, y1) +
         text(x.to, y1 - 32, "end", peak_label, " class=\"roof\"") +
         text(middle_x, middle_y - 7, "middle",
              fmt::format("{} GB/s, a copy measured", short_number(rate)),
              fmt::format(" class=\"roof\" transform=\"rotate({:.1f} {:.1f} {:.1f})\"", angle,
                          middle_x, middle_y - 7)) +
         "\n";
}

std::string network_mark(const ComparedDevice& device, const LogAxis& x, const LogAxis& y) {
  double flop = 0;
  double bytes = 0;
  for (const ComparedKernel& kernel : device.kernels) {
    flop += kernel.flop;
    bytes += kernel.bytes;
  }
  if (flop <= 0 || bytes <= 0 || device.gflops <= 0) return "";
  const double cx = std::clamp(x.at(flop / bytes), x.from, x.to);
  const double cy = std::clamp(y.at(device.gflops), y.to, y.from);
  return fmt::format(
      "<path class=\"whole\" d=\"M{0:.1f} {1:.1f}l7 -7l7 7l-7 7z\"><title>the whole network: "
      "{2} GFLOPS, {3} FLOP per byte</title></path>\n",
      cx - 7, cy, short_number(device.gflops), short_number(flop / bytes));
}

// --- Time line -----------------------------------------------------------------------------------

constexpr double kLineHeight = 30;
constexpr double kLineStep = 52;
constexpr size_t kKernelsPerLine = 40;
constexpr size_t kLinesMost = 8;

struct TimeScale {
  double from_us = 0;
  double span_us = 1;
  double at(double us) const {
    return kLeft + std::clamp((us - from_us) / span_us, 0.0, 1.0) * kPlotWidth;
  }
};

/// What of the kernel lies in this line.
std::string span_of(const ComparedKernel& kernel, size_t index, const TimeScale& scale, double y,
                    const std::string& colour, double whole_us) {
  const double x0 = scale.at(kernel.begin_us);
  const double width = std::max(scale.at(kernel.begin_us + kernel.time_us) - x0, 0.4);
  return fmt::format(
             "<rect class=\"k {}\" data-k=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
             "height=\"{}\">{}</rect>",
             colour, index, x0, y, width, kLineHeight, title_of(kernel, index, whole_us)) +
         label_inside(x0, y + kLineHeight / 2 + 4, width, kernel.name) + "\n";
}

// --- Memory --------------------------------------------------------------------------------------

constexpr double kMemoryHeight = 380;
constexpr double kMemoryBottom = 44;

/// At most ten steps of 1, 2 or 5 times a power of ten, or of two for bytes.
double tick_of(double whole, bool binary) {
  if (binary) return std::exp2(std::ceil(std::log2(std::max(whole, 1.0) / 6)));
  const double rough = std::max(whole / 10, 1.0);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= rough) return power * factor;
  }
  return power * 10;
}

std::string memory_grid(double kernels, double bytes, double y0, double y1) {
  std::string svg;
  const double step = tick_of(bytes, true);
  for (double at = 0; at <= bytes * 1.001; at += step) {
    const double y = y0 - (y0 - y1) * at / bytes;
    svg +=
        line(kLeft, y, kWidth - kRight, y, "grid") + text(kLeft - 8, y + 4, "end", size_text(at));
  }
  const double kernel_step = tick_of(kernels, false);
  for (double at = 0; at < kernels; at += kernel_step) {
    svg += text(kLeft + kPlotWidth * (at + 0.5) / kernels, y0 + 16, "middle",
                fmt::format("{:.0f}", at));
  }
  return svg + text(kLeft + kPlotWidth / 2, y0 + 36, "middle", "kernel") + "\n";
}

std::string memory_box(const ComparedDevice& device, const ComparedTensor& tensor,
                       const OpColours& colours, double y0, double y1) {
  const auto kernels = static_cast<double>(device.kernels.size());
  const double x = kLeft + kPlotWidth * tensor.first_kernel / kernels;
  const double width = kPlotWidth * (tensor.last_kernel + 1 - tensor.first_kernel) / kernels;
  const double height = (y0 - y1) * tensor.size_bytes / device.planned_bytes;
  const double y = y0 - (y0 - y1) * tensor.offset_bytes / device.planned_bytes - height;
  const std::string title =
      fmt::format("{}\n{}\n{} at {}\nkernels {} to {}", printable(tensor.name, kNameBytesMax),
                  tensor.type, size_text(tensor.size_bytes), size_text(tensor.offset_bytes),
                  tensor.first_kernel, tensor.last_kernel);
  std::string svg = fmt::format(
      "<rect class=\"m {}\" data-k=\"{}\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" "
      "height=\"{:.2f}\"><title>{}</title></rect>",
      colours.class_of(device.kernels[tensor.first_kernel].op), tensor.first_kernel, x, y, width,
      std::max(height, 0.4), html_escaped(title));
  if (height >= 14) svg += label_inside(x, y + height / 2 + 4, width, tensor.name);
  return svg + "\n";
}

}  // namespace

// --- Words and numbers ---------------------------------------------------------------------------

std::string html_escaped(std::string_view words) {
  std::string escaped;
  for (const char c : printable_lines(words)) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (size == 0) return "0";
  if (size < 0.001) return fmt::format("{:.1e}", value);
  if (size < 0.1) return fmt::format("{:.3f}", value);
  if (size < 10) return fmt::format("{:.2f}", value);
  return size < 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

std::string time_text(double us) {
  if (us < 1000) return short_number(us) + " \u00b5s";
  return us < 1e6 ? short_number(us * 1e-3) + " ms" : short_number(us * 1e-6) + " s";
}

std::string size_text(double size_bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB"};
  size_t unit = 0;
  while (size_bytes >= 1024 && unit + 1 < kUnits.size()) {
    size_bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", size_bytes, unit == 0 || size_bytes >= 100 ? 0 : 1,
                     kUnits[unit]);
}

OpColours::OpColours(const Comparison& comparison) {
  std::map<std::string, double> shares;
  for (const ComparedDevice& device : comparison.devices) {
    for (const ComparedKernel& kernel : device.kernels) {
      shares[kernel.op] += kernel.time_us / std::max(total_us(device), 1e-9);
    }
  }
  for (const auto& [op, share] : shares) named_.push_back(op);
  std::ranges::stable_sort(named_,
                           [&](const auto& a, const auto& b) { return shares[a] > shares[b]; });
  if (named_.size() > kOpColours) named_.resize(kOpColours);
}

std::string OpColours::class_of(const std::string& op) const {
  const auto found = std::ranges::find(named_, op);
  return fmt::format(
      "c{}", found == named_.end() ? kOpColours : static_cast<size_t>(found - named_.begin()));
}

// --- The pictures --------------------------------------------------------------------------------

size_t roofline_points(const ComparedDevice& device) {
  return static_cast<size_t>(std::ranges::count_if(device.kernels, is_point));
}

std::string roofline_svg(const ComparedDevice& device, const OpColours& colours) {
  double x_low = 1;
  double x_high = 1;
  double y_low = std::max(device.peak_gflops, 1e-6);
  double y_high = y_low;
  if (device.peak_gflops > 0 && device.copy_gbps) {
    x_high = std::max(x_high, 2 * device.peak_gflops / *device.copy_gbps);
  }
  for (const ComparedKernel& kernel : device.kernels) {
    if (!is_point(kernel)) continue;
    x_low = std::min(x_low, kernel.intensity());
    x_high = std::max(x_high, kernel.intensity());
    y_low = std::min(y_low, kernel.gflops());
    y_high = std::max(y_high, kernel.gflops());
  }
  const LogAxis x = axis_over(x_low, x_high * 1.2, kLeft, kWidth - kRight);
  const LogAxis y = axis_over(y_low, y_high * 1.2, kRoofHeight - kRoofBottom, kTop);
  std::string svg = open_svg(kRoofHeight, "Roofline") + grid(x, y) + roof(device, x, y);
  std::vector<size_t> order;
  for (size_t i = 0; i < device.kernels.size(); ++i) order.push_back(i);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {  // small ones are drawn last
    return device.kernels[a].time_us > device.kernels[b].time_us;
  });
  const double whole_us = std::max(total_us(device), 1e-9);
  for (const size_t i : order) {
    const ComparedKernel& kernel = device.kernels[i];
    if (!is_point(kernel)) continue;
    svg += fmt::format(
        "<circle class=\"p {}\" data-k=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\">{}"
        "</circle>\n",
        colours.class_of(kernel.op), i, x.at(kernel.intensity()), y.at(kernel.gflops()),
        3 + 22 * std::sqrt(kernel.time_us / whole_us), title_of(kernel, i, whole_us));
  }
  return svg + network_mark(device, x, y) + "</svg>\n";
}

std::string timeline_svg(const ComparedDevice& device, const OpColours& colours) {
  const double whole_us = std::max(total_us(device), 1e-9);
  const size_t lines = std::clamp<size_t>(
      (device.kernels.size() + kKernelsPerLine - 1) / kKernelsPerLine, 1, kLinesMost);
  std::string svg = open_svg(kTop + kLineStep * static_cast<double>(lines), "Time line of one run");
  for (size_t i = 0; i < lines; ++i) {
    const double span_us = whole_us / static_cast<double>(lines);
    const TimeScale scale = {span_us * static_cast<double>(i), span_us};
    const double end_us = scale.from_us + span_us;
    const double y = kTop + kLineStep * static_cast<double>(i);
    for (size_t k = 0; k < device.kernels.size(); ++k) {
      const ComparedKernel& kernel = device.kernels[k];
      if (kernel.begin_us + kernel.time_us <= scale.from_us || kernel.begin_us >= end_us) continue;
      svg += span_of(kernel, k, scale, y, colours.class_of(kernel.op), whole_us);
    }
    for (int tick = 0; tick <= 5; ++tick) {
      const double us = scale.from_us + span_us * tick / 5;
      svg += text(scale.at(us), y + kLineHeight + 14,
                  tick == 0   ? "start"
                  : tick == 5 ? "end"
                              : "middle",
                  time_text(us));
    }
    svg += "\n";
  }
  return svg + "</svg>\n";
}

std::string memory_svg(const ComparedDevice& device, const OpColours& colours) {
  if (device.tensors.empty() || device.planned_bytes <= 0) return "";
  const double y0 = kMemoryHeight - kMemoryBottom;
  std::string svg =
      open_svg(kMemoryHeight, "Plan of the arena of activations") +
      memory_grid(static_cast<double>(device.kernels.size()), device.planned_bytes, y0, kTop);
  for (const ComparedTensor& tensor : device.tensors) {
    svg += memory_box(device, tensor, colours, y0, kTop);
  }
  const double bound = y0 - (y0 - kTop) * device.lower_bound_bytes / device.planned_bytes;
  svg += line(kLeft, bound, kWidth - kRight, bound, "bound");
  return svg + "</svg>\n";
}

}  // namespace leat
