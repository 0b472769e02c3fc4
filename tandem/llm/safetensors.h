// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tandem/base/status.h"
#include "tandem/llm/weights.h"

// A safetensors file: u64 little-endian N, N bytes of JSON, then data. Each JSON entry {dtype, shape, data_offsets}
// names a span of the data; sorted, the spans cover the data without hole or overlap.
namespace tandem {

inline constexpr size_t kSafetensorsPrefix = 8;
// Limit of the format's own library.
inline constexpr uint64_t kSafetensorsMaxHeader = 100'000'000;

// N, when a file of `file_bytes` (at least the prefix) can hold it.
Expected<uint64_t> safetensors_header_bytes(std::span<const std::byte, kSafetensorsPrefix> prefix, uint64_t file_bytes);
// All entries; offsets count from the data's start.
Expected<StoredTensors> parse_safetensors_header(std::string_view text, uint64_t data_bytes);

}  // namespace tandem
