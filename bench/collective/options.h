// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tandem::bench {

// What `tandem bench collective` was asked to measure.
struct CollectiveOptions {
  std::vector<std::string> operations = {"all_reduce"};
  std::vector<std::string> types = {"float"};
  std::vector<std::string> combinations = {"sum"};
  size_t least = 1 << 10, most = 16 << 20, step = 0;  // bytes of the largest buffer; step 0: by factor
  int64_t factor = 4;
  int iterations = 0;  // of one visit; 0: as many as fill `visit` seconds
  int warmup = 5;
  int check = 1;
  int rounds = 5;
  int root = 0;
  double visit = 0.01;
  std::string buffers = "private";  // or device
  std::string peer, peer_folder;    // one peer of this group of ranks
  bool progress = false;            // on stderr, by rank 0
  bool calibrate = false;           // measure the parts collectives are made of, too
  bool spoil = false;               // for the tests: results are falsified before they are verified
};

// What is wrong with the names in them, or nothing.
std::string complaint_about(const CollectiveOptions& options);
// "1K", "16M", "0.5G" or plain bytes; 0 when it is none of them.
size_t bytes_from_text(const std::string& text);

}  // namespace tandem::bench
