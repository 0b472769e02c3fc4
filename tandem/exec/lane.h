// SPDX-License-Identifier: Apache-2.0
#pragma once
struct CUstream_st;

#pragma GCC visibility push(default)
namespace tandem {

class ThreadTeam;
class Scratch;

// Everything a kernel may use.
struct Lane {
  ThreadTeam* team = nullptr;
  CUstream_st* gpu = nullptr;
  Scratch* scratch = nullptr;
};

}  // namespace tandem
#pragma GCC visibility pop
