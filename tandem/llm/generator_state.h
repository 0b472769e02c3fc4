// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/comm/communicator.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/llm/block.h"
#include "tandem/llm/generate.h"

namespace tandem {

struct Generator::State {
  std::shared_ptr<Communicator> comm;
  Device* device = nullptr;
  std::unique_ptr<Model> model;
  int64_t positions = 0;
  KvCache cache;
  RopeTable rope;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Stream> stream;  // last: its tasks use all of the above

  // Whether `prompt` is something this model can be given.
  Status check(std::span<const int32_t> prompt) const;
};

}  // namespace tandem
