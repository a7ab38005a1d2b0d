// A KernelBinary as bytes, its code apart: in the cache of kernels and in packed models.
#pragma once

#include "leat/base/byte_stream.h"
#include "leat/base/kernel_binary.h"

namespace leat {

/// All but the code.
void add_kernel(ByteWriter& writer, const KernelBinary& binary);
/// The reverse; the reader has failed where it is none.
KernelBinary take_kernel(ByteReader& reader);

}  // namespace leat
