// `leat run MODEL --input DIR --output DIR`: every picture of a folder through the juggler.
#pragma once

#include "cli/picture_stream.h"
#include "cli/report.h"

namespace leat::cli {

/// Exit code: 1 when a picture has no result. `trace_path` may be empty.
Result<int> run_stream(StreamOptions options, const std::string& trace_path,
                       const JsonTarget& json);

/// The device specs of "--device a,b,c".
std::vector<std::string> split_specs(const std::string& specs);

}  // namespace leat::cli
