// Sums of products of bytes, as dot products of bytes without a sign by bytes with one take them.
//
// The factors a - s and b - t are (a' - s') and (b' - t') of a' without a sign and b' with one: a
// byte with a sign and 128 more is one without, by its highest bit alone. So
//
//   sum of (a - s) (b - t)  =  sum of a' b'  -  s' sum of b'  -  t' (sum of a' - k s')
//
// in whole numbers that wrap, and where a lies outside of its tensor, a factor of 0, a' is s'.
#pragma once

#include <optional>

#include "leat/schedule/plan.h"
#include "leat/tensor/contraction.h"

namespace leat {

struct ByteProduct {
  /// What a byte is more, where it has the other kind of sign.
  static constexpr int64_t kOffset = 128;
  struct Factor {
    ExprId shift = kNoExpr;  // s or t, of the node's expressions; none: 0
    bool turns = false;      // its bytes are of the other kind
  };
  Factor a, b;
  bool sums_columns = false;  // the sum of b' counts
  bool sums_rows = false;     // and that of a'
};

/// Nothing unless both factors are bytes of memory less what stands still while k moves.
std::optional<ByteProduct> byte_product(const Schedule& schedule, const Node& node,
                                        const Contraction& contraction);

}  // namespace leat
