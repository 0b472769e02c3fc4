// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>

#include "tandem/comm/fingerprint.h"
#include "tandem/comm/rendezvous_tcp.h"
#include "tandem/comm/tcp.h"
#include "tests/fuzz/comm_parsers.h"

namespace tandem::fuzz {
namespace {

constexpr int kRanks = 4;
constexpr uint64_t kWindow = 64 * 1024;

Rendezvous place_of(int rank) { return {.rank = rank, .size = kRanks, .name = "fuzz", .address = "tcp://a:1/fuzz"}; }

// A message of another length never gets as far as its reader.
bool far_hello(std::string_view bytes) {
  return bytes.size() == sizeof(FarHello) && read_hello(message_of<FarHello>(bytes), bytes.substr(0, 80)).has_value();
}

bool far_answer(std::string_view bytes) {
  return bytes.size() == sizeof(FarAnswer) && read_answer(message_of<FarAnswer>(bytes), kRanks).has_value();
}

// Kept inputs outlive builds: what a build says of itself is left out of them and filled in here.
bool greeting(std::string_view bytes) {
  const Hello mine = make_hello(place_of(0));
  auto theirs = message_of<Greeting>(bytes);
  std::memcpy(theirs.hello.build, mine.build, sizeof mine.build);
  theirs.hello.layout = mine.layout;
  return bytes.size() == sizeof(Greeting) && read_greeting(theirs, mine, 1).has_value();
}

bool address(std::string_view bytes) { return tcp_place(bytes).has_value(); }

FarHello good_far_hello() {
  auto made = message_of<FarHello>("");
  std::memcpy(made.host, "host a", 6);
  made.pid = 7;
  made.port = 4711;
  made.window_bytes = kWindow;
  return made;
}

FarAnswer good_far_answer() {
  auto made = message_of<FarAnswer>("");
  made.size = kRanks;
  for (int rank = 0; rank < kRanks; ++rank) {
    FarAnswer::Chair& chair = made.chairs[rank];
    std::memcpy(chair.host, "host b", 6);
    std::memcpy(chair.address, "10.0.0.1", 8);
    chair.pid = 7;
    chair.port = 4711;
    chair.window_bytes = kWindow;
  }
  return made;
}

Greeting good_greeting() {
  auto made = message_of<Greeting>("");
  made.hello = make_hello(place_of(1));
  std::memset(made.hello.build, 0, sizeof made.hello.build);
  made.hello.layout = 0;
  made.wire_bytes = 100;
  return made;
}

template <class Message>
struct Wrong {
  const char* name;
  void (*edit)(Message&);
};

template <class Message>
void add(std::vector<CorpusEntry>& corpus, const char* parser, const Message& good,
         std::span<const Wrong<Message>> wrong) {
  corpus.push_back({parser, "legal", bytes_of(good), true});
  corpus.push_back({parser, "empty", "", false});
  for (const auto& one : wrong) {
    Message made = good;
    one.edit(made);
    corpus.push_back({parser, one.name, bytes_of(made), false});
  }
}

constexpr Wrong<FarHello> kWrongHellos[] = {
    {"host", [](FarHello& m) { m.host[0] = 0; }},
    {"port", [](FarHello& m) { m.port = 1 << 16; }},
    {"process", [](FarHello& m) { m.pid = UINT32_MAX; }},
    {"no window", [](FarHello& m) { m.window_bytes = 0; }},
    {"odd window", [](FarHello& m) { m.window_bytes = kWindow + 1; }},
    {"huge window", [](FarHello& m) { m.window_bytes = UINT64_MAX - 4095; }},
};

constexpr Wrong<FarAnswer> kWrongAnswers[] = {
    {"size", [](FarAnswer& m) { m.size = -1; }},
    {"refused", [](FarAnswer& m) { m.refused = 1; }},
    {"refused, text without end",
     [](FarAnswer& m) {
       m.refused = UINT32_MAX;
       std::memset(m.text, 0xff, sizeof m.text);
     }},
    {"timed out",
     [](FarAnswer& m) {
       m.refused = 1;
       m.code = static_cast<uint32_t>(ErrorCode::timed_out);
     }},
    {"lost",
     [](FarAnswer& m) {
       m.refused = 1;
       m.code = static_cast<uint32_t>(ErrorCode::peer_lost);
     }},
    {"empty chair", [](FarAnswer& m) { m.chairs[3] = {}; }},
    {"window", [](FarAnswer& m) { m.chairs[kRanks - 1].window_bytes = 1; }},
};

constexpr Wrong<Greeting> kWrongGreetings[] = {
    {"magic", [](Greeting& m) { m.hello.magic[0] ^= 1; }}, {"cookie", [](Greeting& m) { m.hello.cookie[0] ^= 1; }},
    {"size", [](Greeting& m) { m.hello.size = 5; }},       {"rank", [](Greeting& m) { m.hello.rank = 2; }},
    {"nothing", [](Greeting& m) { m.wire_bytes = 0; }},    {"too much", [](Greeting& m) { m.wire_bytes = UINT32_MAX; }},
};

}  // namespace

std::vector<CorpusEntry> far_corpus() {
  std::vector<CorpusEntry> corpus;
  add<FarHello>(corpus, "far_hello", good_far_hello(), kWrongHellos);
  add<FarAnswer>(corpus, "far_answer", good_far_answer(), kWrongAnswers);
  add<Greeting>(corpus, "greeting", good_greeting(), kWrongGreetings);
  corpus.push_back({"address", "legal", "tcp://[fe80::1]:65535/secret", true});
  for (const char* wrong : {"", "tcp://", "tcp://a", "tcp://a:0", "tcp://:1", "unix"})
    corpus.push_back({"address", "wrong", wrong, false});
  return corpus;
}

std::span<const Parser> far_parsers() {
  static const std::string hello_seed = bytes_of(good_far_hello()), answer_seed = bytes_of(good_far_answer()),
                           greeting_seed = bytes_of(good_greeting());
  static const std::array all = {
      Parser{"far_hello", far_hello, hello_seed}, Parser{"far_answer", far_answer, answer_seed},
      Parser{"greeting", greeting, greeting_seed}, Parser{"address", address, "tcp://10.0.0.1:4711/secret"}};
  return all;
}

}  // namespace tandem::fuzz
