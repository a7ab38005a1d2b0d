// A comparison as one HTML page that needs nothing else: no network, no other file.
#pragma once

#include <string>

#include "leat/report/comparison.h"

namespace leat {

/// Names out of the model and of drivers are escaped. With scripts off it shows all devices below
/// each other. `<html data-ready>` says that its script ran to its end, `data-error` that it did
/// not.
std::string html_page(const Comparison& comparison);

}  // namespace leat
