// The pictures of a comparison's page, as SVG without any reference outside: where the kernels
// stand under the device's roofline, when they ran, and where their tensors lie.
//
// Whatever belongs to kernel N has data-k="N", by which the page marks it everywhere at once.
// Colours are the page's: classes c0, c1, ... for kinds of operators, text and lines by theirs.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "leat/report/comparison.h"

namespace leat {

/// Kinds of operators that get a colour of their own, those that take the most time first; all
/// others share one more.
inline constexpr size_t kOpColours = 8;

class OpColours {
 public:
  /// By time over all devices.
  explicit OpColours(const Comparison& comparison);
  /// Its class: "c0" to "c7", and "c8" for the rest.
  std::string class_of(const std::string& op) const;
  /// Names with a colour, in its order.
  const std::vector<std::string>& named() const { return named_; }

 private:
  std::vector<std::string> named_;
};

/// FLOP per byte against GFLOPS, both logarithmic; a kernel's area is its share of the time.
/// Kernels without FLOP are not in it.
std::string roofline_svg(const ComparedDevice& device, const OpColours& colours);
/// How many kernels it has a point for.
size_t roofline_points(const ComparedDevice& device);
/// One run from left to right, in as many lines as its kernels need to be seen.
std::string timeline_svg(const ComparedDevice& device, const OpColours& colours);
/// The arena of activations: kernels to the right, addresses upwards.
std::string memory_svg(const ComparedDevice& device, const OpColours& colours);

/// Foreign text within HTML, quotation marks included; what is invisible is written out.
std::string html_escaped(std::string_view text);
/// Three digits or so: "1234", "12.3", "0.012", "1.2e-05".
std::string short_number(double value);
/// "12.3 us", "1.2 ms", "3.4 s".
std::string time_text(double us);
/// "1.2 MiB".
std::string size_text(double size_bytes);

}  // namespace leat
