// The suite that every backend passes, on the direct route over the fake driver and the emulator of
// both generations. One card is there at a time, since each has the same addresses.
#include "tests/amd/amd_fake_card.h"
#include "tests/backend/backend_suite.h"

namespace leat {

namespace {

class EmulatedCards : public testing::Environment {
 public:
  Result<Device*> open(const std::string& name) {
    if (name_ == name) return device_.get();
    TearDown();
    card_ = std::make_unique<FakeCard>(name == "gfx1201" ? gfx1201_card()
                                                         : amd_card::FakeCardOptions());
    TRY_ASSIGN(device_, card_->open());
    name_ = name;
    return device_.get();
  }
  void TearDown() override {
    if (card_ != nullptr) {
      EXPECT_EQ(card_->faults(), "") << name_;
    }
    device_ = nullptr;
    card_ = nullptr;
    name_ = "";
  }

 private:
  std::string name_;
  std::unique_ptr<FakeCard> card_;
  std::unique_ptr<Device> device_;
};

EmulatedCards& cards() {
  static testing::Environment* const environment =
      testing::AddGlobalTestEnvironment(std::make_unique<EmulatedCards>().release());
  return static_cast<EmulatedCards&>(*environment);
}

}  // namespace

std::vector<TestedRoute> tested_routes() {
  cards();  // gtest takes environments before the tests start
  return {{"gfx1100", "gfx1100", ""}, {"gfx1201", "gfx1201", ""}};
}

Result<Device*> open_tested_route(const std::string& name) { return cards().open(name); }

}  // namespace leat
