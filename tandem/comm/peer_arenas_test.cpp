// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/peer_arenas.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "tandem/comm/descriptor.h"

namespace tandem {
namespace {

constexpr size_t kBytes = 65536;

Descriptor memory_file(bool sealed) {
  Descriptor file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(0, ftruncate(file.get(), kBytes));
  if (sealed) {
    EXPECT_EQ(0, fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  }
  return file;
}

Place place_in(int descriptor, uint64_t offset = 0) { return Place::of({descriptor, 1, 7, offset, kBytes - offset}); }

TEST(PeerArenas, MapsSealedMemoryOnceAndChecksEveryRange) {
  PeerArenas arenas(0, {0, 0});
  const Descriptor file = memory_file(true);
  const char word = 'x';
  ASSERT_EQ(1, pwrite(file.get(), &word, 1, 100));
  const Place place = place_in(file.get(), 100);
  EXPECT_EQ(nullptr, arenas.at(1, place, 1));  // not mapped yet
  ASSERT_TRUE(arenas.reach(1, place));
  ASSERT_TRUE(arenas.reach(1, place));
  ASSERT_NE(nullptr, arenas.at(1, place, kBytes - 100));
  EXPECT_EQ(std::byte{'x'}, *arenas.at(1, place, 1));
  EXPECT_EQ(nullptr, arenas.at(1, place, kBytes - 99));
  EXPECT_EQ(nullptr, arenas.at(1, place, SIZE_MAX));
  EXPECT_EQ(nullptr, arenas.at(1, {place.arena, kBytes + 1}, 0));
  EXPECT_EQ(nullptr, arenas.at(1, {place.arena, UINT64_MAX}, 1));
  EXPECT_EQ(nullptr, arenas.at(0, place, 1));
}

TEST(PeerArenas, RefusesWhatIsNoSealedMemory) {
  PeerArenas arenas(0, {0, 0});
  const Descriptor open_size = memory_file(false), null(open("/dev/null", O_RDWR | O_CLOEXEC));
  std::string path = testing::TempDir() + "tandem-arena-XXXXXX";
  const Descriptor file(mkstemp(path.data()));
  ASSERT_EQ(0, ftruncate(file.get(), kBytes));
  unlink(path.c_str());
  for (const int descriptor : {open_size.get(), null.get(), file.get(), 1'000'000, -1}) {
    EXPECT_FALSE(arenas.reach(1, place_in(descriptor))) << descriptor;
  }
}

TEST(PeerArenas, WithoutAProcessIdNothingIsReached) {
  PeerArenas arenas(0, {getpid(), 0});
  const Descriptor file = memory_file(true);
  EXPECT_FALSE(arenas.reach(1, place_in(file.get())));
  EXPECT_TRUE(arenas.reach(0, place_in(file.get())));  // its own needs no mapping
}

TEST(PeerArenas, BeginsAnewWhenThereIsNoRoom) {
  PeerArenas arenas(0, {0, 0});
  for (uint64_t arena = 1; arena <= 200; ++arena) arenas.remember(1, arena, arena % 2 == 0);
  arenas.make_room(4);
  EXPECT_EQ(PeerArenas::Known::unreachable, arenas.known(1, 1));
  EXPECT_EQ(PeerArenas::Known::reachable, arenas.known(1, 2));
  EXPECT_EQ(PeerArenas::Known::no, arenas.known(0, 2));
  arenas.make_room(100);
  EXPECT_EQ(PeerArenas::Known::no, arenas.known(1, 2));
}

TEST(DevicePin, FreeWaitsForIt) {
  const auto block = device_allocate(1000);
  ASSERT_TRUE(block);
  auto* first = static_cast<std::byte*>(*block);
  EXPECT_FALSE(DevicePin::hold(first, 1 << 20).held());
  EXPECT_FALSE(DevicePin::hold(&first, 8).held());
  DevicePin pin = DevicePin::hold(first + 10, 990);
  ASSERT_TRUE(pin.held());
  std::atomic<bool> freed{false};
  std::thread other([&] {
    EXPECT_TRUE(device_free(first));
    freed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(freed);
  pin = DevicePin();
  other.join();
  EXPECT_TRUE(freed);
  EXPECT_FALSE(device_free(first));
}

}  // namespace
}  // namespace tandem
