// A model of a file as a direct route would hand it to a chip that is not there: packets as text,
// or a capture.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "leat/model/onnx_import.h"
#include "leat/run/capture.h"
#include "leat/run/session.h"

namespace leat {

/// A model with a value for each of its inputs.
struct FedModel {
  OnnxModel file;
  Model model;  // of the file, with ImportOptions::keeps_values
  std::vector<HostTensor> inputs;
};

/// With the values given, by name. The others are random, the same each time: floats in [-1, 1),
/// whole numbers 0 or 1, which as indices and masks fit any tensor.
FedModel fed_model(OnnxModel file, Model model, std::map<std::string, HostTensor> given);

struct PacketOptions {
  std::string folder;      // of a capture, made by make_capture_folder; empty: none is written
  std::string producer;    // of the capture: the program and its version
  SessionOptions session;  // in which the device "cpu" computes the expected values
};

/// The packets of one run on the recorder's device as text; with a folder what was written there.
/// Errors: those of compiling for its target, of the device "cpu", of writing.
Result<std::string> packets_of(Recorder& recorder, const FedModel& fed,
                               const PacketOptions& options);

}  // namespace leat
