// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "tandem/comm/test_support.h"

namespace tandem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

Descriptor copy_of(const SegmentMap& map) { return Descriptor(fcntl(map.descriptor(), F_DUPFD_CLOEXEC, 0)); }

Descriptor memfd(size_t bytes, bool sealed) {
  Descriptor made(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(made.get(), static_cast<off_t>(bytes)), 0);
  const int seals = sealed ? F_SEAL_SHRINK | F_SEAL_GROW : 0;
  EXPECT_EQ(fcntl(made.get(), F_ADD_SEALS, seals), 0);
  return made;
}

std::string refusal(Descriptor descriptor, int rank = 1, int size = 2) {
  const auto adopted = SegmentMap::adopt(std::move(descriptor), rank, size);
  return adopted ? "accepted" : adopted.error().message;
}

TEST(Window, DefaultsToEightMiBAndSharesSixtyFour) {
  const ScopedEnv window("TANDEM_WINDOW_MB", nullptr);
  const ScopedEnv bound("HCCL_BUFFSIZE", nullptr);
  EXPECT_EQ(window_bytes_for(1, 0), 8 * kMiB);
  EXPECT_EQ(window_bytes_for(8, 0), 8 * kMiB);
  EXPECT_EQ(window_bytes_for(16, 0), 4 * kMiB);
  EXPECT_EQ(window_bytes_for(64, 0), 1 * kMiB);
}

TEST(Window, VariablesBoundIt) {
  const ScopedEnv window("TANDEM_WINDOW_MB", "16");
  const ScopedEnv bound("HCCL_BUFFSIZE", "200");
  EXPECT_EQ(window_bytes_for(2, 0), 16 * kMiB);
  EXPECT_EQ(window_bytes_for(8, 0), 8 * kMiB);
  const ScopedEnv lower("HCCL_BUFFSIZE", "1");
  EXPECT_EQ(window_bytes_for(8, 0), 1 * kMiB);
}

TEST(Window, ExplicitSizesAreWholePages) {
  EXPECT_EQ(window_bytes_for(2, 10'000), 8192u);
  EXPECT_EQ(window_bytes_for(2, 1), 4096u);
  EXPECT_EQ(window_bytes_for(8, SIZE_MAX), 8 * kMiB);
}

TEST(Segment, IsSealedAndShared) {
  const auto own = SegmentMap::create(1, 2, kMiB);
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(ftruncate(own->descriptor(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  const auto peer = SegmentMap::adopt(copy_of(*own), 1, 2);
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->window_bytes(), kMiB);
  own->window()[kMiB - 1] = std::byte{42};
  EXPECT_EQ(peer->window()[kMiB - 1], std::byte{42});
  EXPECT_EQ(fcntl(own->descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Segment, RefusesWhatIsNoSegment) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Descriptor other_end(ends[1]);
  expect_part(refusal(Descriptor(ends[0])), "no segment");
  expect_part(refusal(Descriptor()), "rank 1 passed a descriptor that is no segment");
  expect_part(refusal(Descriptor(open("/proc/self/exe", O_RDONLY | O_CLOEXEC))), "not sealed");
  expect_part(refusal(memfd(kMiB, false)), "not sealed");
}

TEST(Segment, RefusesWrongSizesAndContents) {
  expect_part(refusal(memfd(0, true)), "0 bytes");
  expect_part(refusal(memfd(kHeaderBytes, true)), "whole pages");
  expect_part(refusal(memfd(kMiB + 1, true)), "whole pages");
  expect_part(refusal(memfd(size_t{1} << 40, true)), "whole pages");
  expect_part(refusal(memfd(kMiB, true)), "does not carry rank 1 of 2");
}

TEST(Segment, RefusesAnotherRankSizeBuildOrLayout) {
  const auto own = SegmentMap::create(1, 2, kMiB);
  ASSERT_TRUE(own);
  expect_part(refusal(copy_of(*own), 0, 2), "does not carry rank 0 of 2");
  expect_part(refusal(copy_of(*own), 1, 4), "does not carry");
  EXPECT_EQ(refusal(copy_of(*own)), "accepted");
  own->segment()->identity.build[0] ^= 1;
  expect_part(refusal(copy_of(*own)), "does not carry");
  own->segment()->identity.build[0] ^= 1;
  own->segment()->identity.layout = kLayoutVersion + 1;
  expect_part(refusal(copy_of(*own)), "does not carry");
}

TEST(Segment, LackOfSpaceIsAnErrorWithSizes) {
  // A limit on file sizes is the one way to make reservation fail without using up the machine's memory.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit low{kMiB, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const auto made = SegmentMap::create(0, 1, 8 * kMiB);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::out_of_memory);
  expect_part(made.error().message, "8 MiB wanted");
  expect_part(made.error().message, "of memory free");
  expect_part(made.error().message, "TANDEM_WINDOW_MB");
}

TEST(Segment, MoreThanTheMachineHasIsAnErrorNotAKill) {
  const auto made = SegmentMap::create(0, 1, size_t{1} << 46);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::out_of_memory);
}

}  // namespace
}  // namespace tandem
