// The kernel that raises a fence's number, for routes that take SPIR-V with bindings (vulkan and
// opengl). It runs behind the work: adds one to a counter in the device's own memory (binding 0)
// and stores the sum in memory that the host sees (binding 1), both as two 32-bit words, low word
// first, because few drivers have 64-bit integers. The store is the only access over the bus.
//
// Assembled from: counter = uvec2 load; low + 1; high + (low + 1 == 0); store to both.
// Source of the encoding: SPIR-V 1.0 specification, section 3. Block types differ because NVIDIA's
// GL linker takes the type's name for the block's.
#pragma once

#include <cstdint>

namespace leat {

// An instruction a line.
// clang-format off
inline constexpr uint32_t kRaiseNumberSpirv[] = {
    0x07230203, 0x00010000, 0x00000000, 0x0000001b, 0x00000000,  // magic, 1.0, bound 27
    2 << 16 | 17, 1,                          // capability Shader
    3 << 16 | 14, 0, 1,                       // Logical GLSL450
    5 << 16 | 15, 5, 1, 0x6e69616d, 0,        // entry GLCompute %1 "main"
    6 << 16 | 16, 1, 17, 1, 1, 1,             // LocalSize 1 1 1
    3 << 16 | 71, 2, 3,                       // %2 BufferBlock
    5 << 16 | 72, 2, 0, 35, 0,                // member 0 Offset 0
    3 << 16 | 71, 3, 3,                       // %3 BufferBlock
    5 << 16 | 72, 3, 0, 35, 0,                // member 0 Offset 0
    4 << 16 | 72, 3, 0, 23,                   // member 0 Coherent
    4 << 16 | 71, 4, 34, 0,
    4 << 16 | 71, 4, 33, 0,                   // counter: set 0, binding 0
    4 << 16 | 71, 5, 34, 0,
    4 << 16 | 71, 5, 33, 1,                   // number: set 0, binding 1
    2 << 16 | 19, 6,
    3 << 16 | 33, 7, 6,                       // void, void()
    4 << 16 | 21, 8, 32, 0,
    2 << 16 | 20, 9,                          // uint, bool
    4 << 16 | 23, 10, 8, 2,                   // uvec2
    3 << 16 | 30, 2, 10,
    3 << 16 | 30, 3, 10,                      // two structs of a uvec2
    4 << 16 | 32, 11, 2, 2,
    4 << 16 | 32, 12, 2, 3,                   // pointers, Uniform
    4 << 16 | 32, 13, 2, 10,                  // pointer to uvec2
    4 << 16 | 59, 11, 4, 2,
    4 << 16 | 59, 12, 5, 2,                   // variables
    4 << 16 | 43, 8, 14, 0,
    4 << 16 | 43, 8, 15, 1,                   // constants 0 and 1
    5 << 16 | 54, 6, 1, 0, 7,
    2 << 16 | 248, 16,                        // function, label
    5 << 16 | 65, 13, 17, 4, 14,              // &counter
    5 << 16 | 65, 13, 18, 5, 14,              // &number
    4 << 16 | 61, 10, 19, 17,                 // load counter
    5 << 16 | 81, 8, 20, 19, 0,
    5 << 16 | 81, 8, 21, 19, 1,               // low, high
    5 << 16 | 128, 8, 22, 20, 15,             // low + 1
    5 << 16 | 170, 9, 23, 22, 14,             // low + 1 == 0
    6 << 16 | 169, 8, 24, 23, 15, 14,         // carry
    5 << 16 | 128, 8, 25, 21, 24,             // high + carry
    5 << 16 | 80, 10, 26, 22, 25,             // the sum
    3 << 16 | 62, 17, 26,
    3 << 16 | 62, 18, 26,                     // to counter and number
    1 << 16 | 253,
    1 << 16 | 56,                             // return, end
};
// clang-format on

}  // namespace leat
