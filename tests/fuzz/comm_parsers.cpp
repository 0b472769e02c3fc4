// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/comm_parsers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "tandem/comm/board.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/comm/rendezvous.h"
#include "tandem/version.h"

namespace tandem::fuzz {
namespace {

constexpr int kRanks = 4;
// Inputs are kept over builds: these words stand for what changes from one to the next.
constexpr char kAnyBuild[] = "@build";
constexpr uint32_t kAnyLayout = 0xffffffff;

Rendezvous host() { return {.rank = 0, .size = kRanks, .name = "fuzz", .address = "fuzz"}; }

void fill_in_build(char (&field)[56]) {
  if (std::memcmp(field, kAnyBuild, sizeof kAnyBuild) == 0)
    std::memcpy(field, build(), std::min(sizeof field, std::strlen(build()) + 1));
}

bool hello(std::string_view bytes) {
  auto theirs = message_of<Hello>(bytes);
  fill_in_build(theirs.build);
  if (theirs.layout == kAnyLayout) theirs.layout = kLayoutVersion;
  return judge_hello(theirs, make_hello(host()), bytes.size()).kind == Verdict::Kind::welcome;
}

bool answer(std::string_view bytes) { return !judge_answer(message_of<Answer>(bytes), bytes.size(), kRanks); }

// All a rank reads of a peer's segment while both work.
size_t read_all(Segment& noise) {
  const auto calm = std::make_unique<Segment[]>(2);
  const Board board(0, {&calm[0], &noise, &calm[1]});
  const Goal goal{1, kCalled, 7};
  size_t read =
      static_cast<size_t>(board.culprit_of(goal).peer) + static_cast<size_t>(board.culprit_of({2, kSent, 1}).peer);
  read += board.reached(goal) + board.left(1) + board.inside(1) + board.steps(1);
  if (const auto blocked = board.blocked(1)) read += static_cast<size_t>(blocked->peer);
  if (const auto failure = board.published()) read += failure->reason.size();
  board.publish(0, 1);
  board.publish_pair(kSent, 1, 1);
  const Fingerprint calls[] = {load_fingerprint(calm[0].slots[0]), load_fingerprint(noise.slots[0]),
                               load_fingerprint(noise.slots[1])};
  read += compare_calls(calls).text.size() + describe(calls[1]).size() + digest_of(calls[2]);
  const Board settling(2, {&noise, &calm[0], &calm[1]});  // its claim may be noise, too
  return read + settling.settle({ErrorCode::peer_lost, 1, "rank 1 died"}).reason.size();
}

// The same from a file that a peer passed: seals, size and identity are checked, then the rest is read.
bool segment(std::string_view bytes) {
  static_assert(sizeof(Segment) == kHeaderBytes);
  Descriptor file(memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto length = static_cast<off_t>(kHeaderBytes + 2 * 4096 + bytes.size() - std::min(bytes.size(), kHeaderBytes));
  auto head = std::make_unique<Segment>();
  std::memcpy(static_cast<void*>(head.get()), bytes.data(), std::min(bytes.size(), kHeaderBytes));
  fill_in_build(head->identity.build);
  if (head->identity.layout.load() == kAnyLayout) head->identity.layout.store(kLayoutVersion);
  const bool stored = ftruncate(file.get(), length) == 0 &&
                      pwrite(file.get(), static_cast<const void*>(head.get()), kHeaderBytes, 0) > 0 &&
                      fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
  if (read_all(*head) == SIZE_MAX || !stored) return false;
  return SegmentMap::adopt(std::move(file), 1, kRanks).has_value();
}

Hello good_hello() {
  Rendezvous guest = host();
  guest.rank = 1;
  Hello made = make_hello(guest);
  std::memset(made.build, 0, sizeof made.build);
  std::memcpy(made.build, kAnyBuild, sizeof kAnyBuild);
  made.layout = kAnyLayout;
  return made;
}

Answer good_answer() {
  auto made = message_of<Answer>("");
  std::memcpy(made.magic, good_hello().magic, sizeof made.magic);
  made.size = kRanks;
  return made;
}

std::unique_ptr<Segment> good_segment() {
  auto made = std::make_unique<Segment>();
  std::memcpy(made->identity.magic, "TANDEMSG", 8);
  std::memcpy(made->identity.build, kAnyBuild, sizeof kAnyBuild);
  made->identity.window_bytes = 4096;
  made->identity.size = kRanks;
  made->identity.rank = 1;
  made->identity.layout = kAnyLayout;
  return made;
}

class Corpus {
 public:
  std::vector<CorpusEntry> entries;

  void add(const char* parser, const char* name, std::string bytes, bool accepted = false) {
    entries.push_back({parser, name, std::move(bytes), accepted});
  }
  template <class Edit>
  void hello(const char* name, const Edit& edit, bool accepted = false) {
    Hello made = good_hello();
    edit(made);
    add("hello", name, bytes_of(made), accepted);
  }
  template <class Edit>
  void answer(const char* name, const Edit& edit, bool accepted = false) {
    Answer made = good_answer();
    edit(made);
    add("answer", name, bytes_of(made), accepted);
  }
  template <class Edit>
  void segment(const char* name, const Edit& edit, bool accepted = false) {
    const auto made = good_segment();
    edit(*made);
    add("segment", name, bytes_of(*made), accepted);
  }
};

void add_hellos(Corpus& c) {
  c.hello(
      "legal", [](Hello&) {}, true);
  c.add("hello", "empty", "");
  c.add("hello", "short", bytes_of(good_hello()).substr(0, 100));
  c.add("hello", "long", bytes_of(good_hello()) + "more");
  c.hello("magic", [](Hello& h) { h.magic[7] ^= 1; });
  c.hello("cookie", [](Hello& h) { h.cookie[1] ^= 1; });
  c.hello("build", [](Hello& h) { std::memset(h.build, '\n', sizeof h.build); });
  c.hello("layout", [](Hello& h) { h.layout = 1; });
  for (const int size : {0, -1, 3, INT32_MAX}) c.hello("size", [&](Hello& h) { h.size = size; });
  for (const int rank : {0, -1, kRanks, INT32_MIN}) c.hello("rank", [&](Hello& h) { h.rank = rank; });
  c.hello("name", [](Hello& h) { std::memset(h.name, 0xff, sizeof h.name); });
  for (const uint32_t code : {1u, 4u, 5u, 6u, 250u, UINT32_MAX}) {
    c.hello("absent", [&](Hello& h) {
      h.absent = code;
      std::memset(h.reason, '\t', sizeof h.reason);
    });
  }
}

void add_answers(Corpus& c) {
  c.answer(
      "legal", [](Answer&) {}, true);
  c.add("answer", "empty", "");
  c.add("answer", "short", bytes_of(good_answer()).substr(0, 40));
  c.answer("magic", [](Answer& a) { a.magic[0] ^= 1; });
  c.answer("size", [](Answer& a) { a.size = -1; });
  for (const uint32_t code : {0u, 3u, 4u, 5u, 6u, UINT32_MAX}) {
    c.answer("refused", [&](Answer& a) {
      a.refused = 1;
      a.code = code;
      std::memset(a.text, '\r', sizeof a.text);
    });
  }
}

void add_segments(Corpus& c) {
  c.segment(
      "legal", [](Segment&) {}, true);
  c.add("segment", "empty", "");
  c.add("segment", "odd size", bytes_of(*good_segment()) + "x");
  c.segment("magic", [](Segment& s) { s.identity.magic[0] = 'x'; });
  c.segment("build", [](Segment& s) { s.identity.build[0] = 'x'; });
  c.segment("unfinished", [](Segment& s) { s.identity.layout = 0; });
  c.segment("rank", [](Segment& s) { s.identity.rank = 2; });
  c.segment("size", [](Segment& s) { s.identity.size = UINT32_MAX; });
  c.segment("window", [](Segment& s) { s.identity.window_bytes = UINT64_MAX; });
  c.segment(
      "left", [](Segment& s) { s.state.value = static_cast<uint32_t>(RankState::left); }, true);
  for (const uint32_t claim : {1u, 2u, 3u, 4u, UINT32_MAX}) {
    c.segment(
        "claim", [&](Segment& s) { s.claim.value = claim; }, true);
  }
  for (const uint64_t goal : {uint64_t{1} << 48, uint64_t{1} << 48 | uint64_t{2} << 32, uint64_t{7} << 48 | 1,
                              uint64_t{8} << 48, uint64_t{5} << 48 | uint64_t{9} << 32, UINT64_MAX}) {
    c.segment(
        "blocked", [&](Segment& s) { s.blocked.goal = goal; }, true);
  }
  for (const uint32_t code : {0u, 4u, 5u, 6u, 250u}) {
    c.segment(
        "failure",
        [&](Segment& s) {
          s.claim.value = 2;
          s.failure.code = code;
          s.failure.culprit = code;
          s.failure.length = code == 250 ? UINT32_MAX : 40;
          for (auto& byte : s.failure.text) byte = static_cast<uint8_t>(code);
          s.failure.published = 1 + code;
        },
        true);
  }
  c.segment(
      "fingerprints",
      [](Segment& s) {
        uint64_t word = 1;
        for (FingerprintSlot& slot : s.slots) {
          for (auto& place : slot.words) place = word *= 0x9e3779b97f4a7c15u;
        }
      },
      true);
  for (const int64_t count : {int64_t{0}, INT64_MIN}) {
    c.segment(
        "call",
        [&](Segment& s) {
          Fingerprint call;
          std::memset(call.operation, 0xff, sizeof call.operation);
          call.count = count;
          call.output = static_cast<DType>(200);
          call.reduction = 200;
          call.epsilon_bits = UINT64_MAX;
          call.chunk_rows = -1;
          call.layout = 5;
          call.root = 7;
          store_fingerprint(s.slots[0], call);
          call.reduction = 2;
          store_fingerprint(s.slots[1], call);
        },
        true);
  }
}

}  // namespace

std::vector<CorpusEntry> comm_corpus() {
  Corpus corpus;
  add_hellos(corpus);
  add_answers(corpus);
  add_segments(corpus);
  return std::move(corpus.entries);
}

std::span<const Parser> comm_parsers() {
  static const std::string hello_seed = bytes_of(good_hello()), answer_seed = bytes_of(good_answer()),
                           segment_seed = bytes_of(*good_segment());
  static const std::array all = {Parser{"hello", hello, hello_seed}, Parser{"answer", answer, answer_seed},
                                 Parser{"segment", segment, segment_seed}};
  return all;
}

}  // namespace tandem::fuzz
