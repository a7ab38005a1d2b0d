// Inside each folder of the library includes go one way: a file and its header are one place, and
// no place is reached from itself. Whoever reads downwards never comes back up. Links nothing of
// Leat.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/tidy_source.h"

namespace tidy {
namespace {

/// From a place ("leat/schedule/fuse") to those of its folder that it includes.
using Arrows = std::map<std::string, std::set<std::string>>;

std::string place_of(const std::string& path) {
  return (fs::path(path).parent_path() / fs::path(path).stem()).string();
}

Arrows arrows_of(const std::vector<SourceFile>& files) {
  Arrows arrows;
  for (const SourceFile& file : files) {
    if (!file.path.starts_with("leat/") || !is_cpp(file.path)) continue;
    if (file.path.find("_test.") != std::string::npos) continue;
    for (const Include& include : includes_of(file)) {
      const fs::path header = include.header.substr(1, include.header.size() - 2);  // no quotes
      const std::string from = place_of(file.path);
      const std::string to = place_of(header.string());
      const bool own_folder = header.parent_path() == fs::path(file.path).parent_path();
      if (own_folder && from != to) arrows[from].insert(to);
    }
  }
  return arrows;
}

/// "a -> b -> a" for a place that reaches itself, empty for others.
std::string way_back(const Arrows& arrows, const std::string& start) {
  std::map<std::string, std::string> came_from;
  std::vector<std::string> open = {start};
  while (!open.empty()) {
    const std::string place = open.back();
    open.pop_back();
    const auto found = arrows.find(place);
    if (found == arrows.end()) continue;
    for (const std::string& next : found->second) {
      if (next == start) {
        std::string way = start;
        for (std::string at = place; at != start; at = came_from[at]) way = at + " -> " + way;
        return start + " -> " + way;
      }
      if (came_from.emplace(next, place).second) open.push_back(next);
    }
  }
  return "";
}

Findings check_order(const Arrows& arrows) {
  Findings findings;
  for (const auto& [place, included] : arrows) {
    const std::string way = way_back(arrows, place);
    if (!way.empty()) findings.push_back({place, 0, "order", "Includes come back: " + way + "."});
  }
  return findings;
}

TEST(TidyOrder, IncludesOfAFolderGoOneWay) {
  const Findings findings = check_order(arrows_of(tree()));
  EXPECT_TRUE(findings.empty()) << report(findings);
}

TEST(TidyOrder, FindsTheWayBack) {
  const auto file = [](const char* path, const char* header) {
    return make_file(path, std::string("#include \"") + header + "\"\n");
  };
  const std::vector<SourceFile> down = {file("leat/ir/a.cpp", "leat/ir/a.h"),
                                        file("leat/ir/a.h", "leat/ir/b.h"),
                                        file("leat/ir/b.cpp", "leat/ir/c.h")};
  EXPECT_TRUE(check_order(arrows_of(down)).empty());
  std::vector<SourceFile> back = down;
  back.push_back(file("leat/ir/c.cpp", "leat/ir/a.h"));
  EXPECT_EQ(check_order(arrows_of(back)).size(), 3u);
  std::vector<SourceFile> other = down;
  other.push_back(file("leat/ir/c.cpp", "leat/base/a.h"));
  EXPECT_TRUE(check_order(arrows_of(other)).empty());
}

}  // namespace
}  // namespace tidy
