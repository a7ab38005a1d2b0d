// The two kinds of errors that most of an import's sentences are.
#pragma once

#include <string>
#include <utility>

#include "leat/base/result.h"

namespace leat {

inline Error invalid(std::string sentence) {
  return Error(ErrorKind::invalid_argument, std::move(sentence));
}

inline Error unsupported(std::string sentence) {
  return Error(ErrorKind::unsupported, std::move(sentence));
}

}  // namespace leat
