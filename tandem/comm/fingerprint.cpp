// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tandem {
namespace {

constexpr size_t kWords = (sizeof(Fingerprint) + 7) / 8;
static_assert(std::is_trivially_copyable_v<Fingerprint> && sizeof(Fingerprint) <= sizeof(FingerprintSlot));
static_assert(sizeof(Fingerprint) == kWords * 8);  // no gaps: every byte counts in the digest

std::string_view operation_of(const Fingerprint& fingerprint) {
  return {fingerprint.operation, strnlen(fingerprint.operation, sizeof fingerprint.operation)};
}

void append(std::string& text, std::string_view name, uint64_t value) {
  if (value != 0) text += fmt::format(" {}={}", name, value);
}

int agreeing(std::span<const Fingerprint> calls, size_t with) {
  return static_cast<int>(
      std::count_if(calls.begin(), calls.end(), [&](const Fingerprint& f) { return same_call(f, calls[with]); }));
}

}  // namespace

void store_fingerprint(FingerprintSlot& slot, const Fingerprint& fingerprint) {
  uint64_t words[kWords] = {};
  std::memcpy(words, &fingerprint, sizeof fingerprint);
  for (size_t i = 0; i < kWords; ++i) slot.words[i].store(words[i], std::memory_order_relaxed);
}

Fingerprint load_fingerprint(const FingerprintSlot& slot) {
  uint64_t words[kWords];
  for (size_t i = 0; i < kWords; ++i) words[i] = slot.words[i].load(std::memory_order_relaxed);
  Fingerprint fingerprint;
  std::memcpy(static_cast<void*>(&fingerprint), words, sizeof fingerprint);
  return fingerprint;
}

bool same_call(const Fingerprint& a, const Fingerprint& b) {
  return operation_of(a) == operation_of(b) && a.rows == b.rows && a.n == b.n && a.chunk_rows == b.chunk_rows &&
         a.epsilon_bits == b.epsilon_bits && a.output == b.output && a.wire == b.wire && a.reduction == b.reduction &&
         a.tail == b.tail && a.mode == b.mode && std::ranges::equal(a.reserved, b.reserved) && a.root == b.root &&
         a.count == b.count && a.layout == b.layout;
}

std::string printable(std::string_view text, size_t limit) {
  std::string clean(text.substr(0, limit));
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return clean;
}

uint64_t digest_of(Fingerprint fingerprint) {
  fingerprint.local = 0;
  uint64_t words[kWords];
  std::memcpy(words, &fingerprint, sizeof fingerprint);
  uint64_t digest = 0;
  for (const uint64_t word : words) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    digest ^= digest >> 29;
  }
  return digest;
}

namespace {

// "all_reduce count=1000 dtype=f16 reduction=maximum"
std::string describe_collective(const Fingerprint& f) {
  constexpr std::string_view kReductions[] = {"", "sum", "product", "maximum", "minimum", "average"};
  std::string text = printable(operation_of(f), sizeof f.operation);
  text += fmt::format(" count={} dtype={}", f.count, dtype_name(f.output));
  if (f.reduction > 0 && f.reduction < std::size(kReductions)) text += fmt::format(" reduction={}", kReductions[f.reduction]);
  if (f.root >= 0) text += fmt::format(" root={}", f.root);
  if (f.layout != 0) text += fmt::format(" counts and displacements #{:016x}", f.layout);
  return text;
}

}  // namespace

std::string describe(const Fingerprint& f) {
  if (f.count >= 0) return describe_collective(f);
  std::string text = printable(operation_of(f), sizeof f.operation);
  text += fmt::format(" rows={} n={}", f.rows, f.n);
  if (f.output != DType::none) text += fmt::format(" output={}", dtype_name(f.output));
  if (f.chunk_rows != 0) text += fmt::format(" chunk_rows={}", f.chunk_rows);
  if (f.epsilon_bits != 0) {
    double epsilon = 0;
    std::memcpy(&epsilon, &f.epsilon_bits, sizeof epsilon);
    text += fmt::format(" epsilon={}", epsilon);
  }
  append(text, "wire", f.wire);
  append(text, "reduction", f.reduction);
  append(text, "tail", f.tail);
  append(text, "mode", f.mode);
  append(text, "layout", f.layout);
  append(text, "reserved", static_cast<uint64_t>(f.reserved[0]) | f.reserved[1] << 8 | f.reserved[2] << 16);
  return text;
}

Disagreement compare_calls(std::span<const Fingerprint> calls) {
  if (agreeing(calls, 0) == static_cast<int>(calls.size())) return {};
  // The call most ranks made is the reference, the lowest rank of any other call is named first.
  size_t reference = 0;
  for (size_t i = 1; i < calls.size(); ++i) {
    if (agreeing(calls, i) > agreeing(calls, reference)) reference = i;
  }
  size_t culprit = 0;
  while (same_call(calls[culprit], calls[reference])) ++culprit;
  return {static_cast<int>(culprit),
          fmt::format("rank {} called {}, rank {} called {}; all ranks must call the same operators with the same "
                      "shapes in the same order",
                      culprit, describe(calls[culprit]), reference, describe(calls[reference]))};
}

}  // namespace tandem
