// See mutations.h.
#include "tests/fuzz/mutations.h"

namespace leat {

uint32_t below(Random& random, size_t limit) {
  return limit == 0 ? 0 : static_cast<uint32_t>(random() % limit);
}

namespace {

void flip_bit(std::string& bytes, Random& random) {
  bytes[below(random, bytes.size())] ^= static_cast<char>(1u << below(random, 8));
}

void set_byte(std::string& bytes, Random& random) {
  constexpr unsigned char kValues[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  bytes[below(random, bytes.size())] = static_cast<char>(kValues[below(random, 5)]);
}

void truncate(std::string& bytes, Random& random) { bytes.resize(below(random, bytes.size())); }

void remove_part(std::string& bytes, Random& random) {
  bytes.erase(below(random, bytes.size()), below(random, 16));
}

void repeat_part(std::string& bytes, Random& random) {
  const size_t begin = below(random, bytes.size());
  const std::string part = bytes.substr(begin, below(random, 64));
  bytes.insert(below(random, bytes.size()), part);
}

}  // namespace

std::string mutated_bytes(std::string bytes, Random& random) {
  using Mutation = void (*)(std::string&, Random&);
  constexpr Mutation kMutations[] = {flip_bit, set_byte, truncate, remove_part, repeat_part};
  const uint32_t count = 1 + below(random, 4);
  for (uint32_t i = 0; i < count && !bytes.empty(); ++i) {
    kMutations[below(random, 5)](bytes, random);
  }
  return bytes;
}

}  // namespace leat
