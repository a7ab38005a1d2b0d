// Devices asked for in children are those found here, and a driver that crashes is a refused route.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "leat/backend/backends.h"
#include "leat/backend/route_facts.h"

namespace leat {
namespace {

TEST(FoundRoute, ComeBackAsTheyWere) {
  FoundRoute route;
  route.info.chip = "a \"chip\" of two\nlines \xff";
  route.info.driver = "driver 1";
  route.info.software = true;
  route.info.memory_bytes = uint64_t{1} << 40;
  route.uuid_hex = "0123";
  route.refusal = "No.";
  const std::vector<FoundRoute> back = routes_of_text(text_of_routes({route, {}}));
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].info.chip, "a \"chip\" of two\nlines \xEF\xBF\xBD");
  EXPECT_EQ(back[0].info.driver, "driver 1");
  EXPECT_TRUE(back[0].info.software);
  EXPECT_EQ(back[0].info.memory_bytes, uint64_t{1} << 40);
  EXPECT_EQ(back[0].uuid_hex, "0123");
  EXPECT_EQ(back[0].refusal, "No.");
  EXPECT_TRUE(back[1].refusal.empty());
}

TEST(FoundRoute, OfOtherTextAreNone) {
  for (const char* text : {"", "x", "{}", "7"}) EXPECT_TRUE(routes_of_text(text).empty()) << text;
}

TEST(AskDevices, AreThoseThatAreFound) {
  const std::vector<FoundDevice> asked = ask_devices();  // before drivers are opened here
  const std::vector<FoundDevice> found = find_devices();
  ASSERT_EQ(found.size(), asked.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].info.name, asked[i].info.name);
    EXPECT_EQ(found[i].info.chip, asked[i].info.chip);
    EXPECT_EQ(found[i].info.route, asked[i].info.route);
    EXPECT_EQ(found[i].refusal, asked[i].refusal);
  }
}

}  // namespace
}  // namespace leat
