// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

namespace tandem {
namespace {

std::string hash(std::string_view text, size_t piece) {
  Sha256 sha;
  const auto bytes = std::as_bytes(std::span(text));
  for (size_t at = 0; at < bytes.size(); at += piece) {
    sha.update(bytes.subspan(at, std::min(piece, bytes.size() - at)));
  }
  return sha.finish();
}

// Vectors of FIPS 180-2, appendix B, and of the NIST examples.
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(hash("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 7),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1000000, 'a'), 997), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace tandem
