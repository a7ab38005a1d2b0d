// V_CMP and V_CMPX of each type and condition. RDNA3 and RDNA4 ISA, "VOPC". A V_CMP writes a bit
// per enabled lane, 0 for the others, to VCC or the scalar register that the long form names; a
// V_CMPX writes EXEC.
#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

template <class T, class F>
uint32_t compare(Wave& w, const Instruction& i, F condition) {
  Lanes<T> a{}, b{};
  Lanes<U32> flags;
  load<T>(w, i, 0, a);
  load<T>(w, i, 1, b);
  for (uint32_t l = 0; l < kLanes; ++l) flags.at[l] = condition(a.at[l], b.at[l]) ? 1 : 0;
  return mask_of(flags) & w.exec();
}

template <class T>
bool is_unordered(T a, T b) {
  return std::isnan(a) || std::isnan(b);
}

/// V_CMP_CLASS: bit by class of the value, from signalling NaN (0) to +infinity (9).
template <class T>
bool has_class(T value, uint32_t classes) {
  uint32_t bit;
  if (std::isnan(value)) {
    bit = is_signalling(value) ? 0 : 1;
  } else if (std::isinf(value)) {
    bit = value < 0 ? 2 : 9;
  } else if (value == 0) {
    bit = std::signbit(value) ? 5 : 6;
  } else {
    // The smallest normal number; a denormal compares as what it is: the mode does not flush here.
    const T smallest = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022);
    const bool is_normal = !(std::fabs(value) < smallest);
    bit = std::signbit(value) ? (is_normal ? 3 : 4) : (is_normal ? 8 : 7);
  }
  return (classes >> bit & 1) != 0;
}

bool has_half_class(float value, uint32_t classes) {
  if (std::isfinite(value) && value != 0) {
    const bool is_normal = std::fabs(value) >= 0x1p-14F;
    return (classes >> (value < 0 ? (is_normal ? 3 : 4) : (is_normal ? 8 : 7)) & 1) != 0;
  }
  return has_class(value, classes);
}

template <class T, class B, class F>
uint32_t classify(Wave& w, const Instruction& i, F test) {
  const uint32_t saved = set_host_float_mode(0, 3);
  Lanes<T> a{};
  Lanes<B> b{};
  Lanes<U32> flags;
  load<T>(w, i, 0, a);
  load<B>(w, i, 1, b);
  for (uint32_t l = 0; l < kLanes; ++l) flags.at[l] = test(a.at[l], uint32_t(b.at[l])) ? 1 : 0;
  restore_host_float_mode(saved);
  return mask_of(flags) & w.exec();
}

}  // namespace

#define CMP(condition, type, T, expression)                                                      \
  void exec_v_cmp_##condition##_##type(Wave& w, const Instruction& i) {                          \
    w.set_scalar(i, i.dst,                                                                       \
                 compare<T>(w, i, [](auto a, auto b) { return (void)a, (void)b, expression; })); \
  }                                                                                              \
  void exec_v_cmpx_##condition##_##type(Wave& w, const Instruction& i) {                         \
    w.set_scalar(i, kExec,                                                                       \
                 compare<T>(w, i, [](auto a, auto b) { return (void)a, (void)b, expression; })); \
  }

#define CMP_FLOAT(type, T)             \
  CMP(f, type, T, false)               \
  CMP(lt, type, T, a < b)              \
  CMP(eq, type, T, a == b)             \
  CMP(le, type, T, a <= b)             \
  CMP(gt, type, T, a > b)              \
  CMP(lg, type, T, a<b || a> b)        \
  CMP(ge, type, T, a >= b)             \
  CMP(o, type, T, !is_unordered(a, b)) \
  CMP(u, type, T, is_unordered(a, b))  \
  CMP(nge, type, T, !(a >= b))         \
  CMP(nlg, type, T, !(a < b || a > b)) \
  CMP(ngt, type, T, !(a > b))          \
  CMP(nle, type, T, !(a <= b))         \
  CMP(neq, type, T, !(a == b))         \
  CMP(nlt, type, T, !(a < b))          \
  CMP(t, type, T, true)

#define CMP_WHOLE(type, T) \
  CMP(f, type, T, false)   \
  CMP(lt, type, T, a < b)  \
  CMP(eq, type, T, a == b) \
  CMP(le, type, T, a <= b) \
  CMP(gt, type, T, a > b)  \
  CMP(ne, type, T, a != b) \
  CMP(ge, type, T, a >= b) \
  CMP(t, type, T, true)

CMP_FLOAT(f16, F16)
CMP_FLOAT(f32, F32)
CMP_FLOAT(f64, F64)
CMP_WHOLE(i16, I16)
CMP_WHOLE(u16, U16)
CMP_WHOLE(i32, I32)
CMP_WHOLE(u32, U32)
CMP_WHOLE(i64, I64)
CMP_WHOLE(u64, U64)

#define CLASS(type, T, B, test)                                  \
  void exec_v_cmp_class_##type(Wave& w, const Instruction& i) {  \
    w.set_scalar(i, i.dst, classify<T, B>(w, i, test));          \
  }                                                              \
  void exec_v_cmpx_class_##type(Wave& w, const Instruction& i) { \
    w.set_scalar(i, kExec, classify<T, B>(w, i, test));          \
  }
CLASS(f16, F16, U16, has_half_class)
CLASS(f32, F32, U32, has_class<float>)
CLASS(f64, F64, U32, has_class<double>)

#undef CMP
#undef CMP_FLOAT
#undef CMP_WHOLE
#undef CLASS

}  // namespace leat::amd_card
