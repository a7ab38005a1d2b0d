// What a child process that asks a driver tells its parent, as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/route/found_route.h"

namespace leat {

/// JSON; bytes of a driver's names that are no UTF-8 are replaced. The route itself is left out:
/// who asks knows it.
std::string text_of_routes(const std::vector<FoundRoute>& routes);
/// Of text_of_routes' text; of any other nothing.
std::vector<FoundRoute> routes_of_text(std::string_view text);

}  // namespace leat
