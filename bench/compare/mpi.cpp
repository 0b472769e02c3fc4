// SPDX-License-Identifier: Apache-2.0
// Open MPI and MPICH: the same source, built once against each.
#include <mpi.h>

#include <cstring>
#include <string>
#include <vector>

#include "bench/compare/collective_peer.h"

namespace {

struct Call {
  TandemCollectiveCall what;
  std::string operation;
  MPI_Datatype type;
  MPI_Op reduction;
  int count, rank, ranks;
  std::vector<int> counts, displacements;
};

int g_rank = 0, g_ranks = 1;

bool is(const char* a, const char* b) { return std::strcmp(a, b) == 0; }

bool find_type(const char* word, MPI_Datatype& type) {
  const struct {
    const char* word;
    MPI_Datatype type;
  } kTypes[] = {{"int8", MPI_INT8_T},   {"uint8", MPI_UINT8_T},   {"int16", MPI_INT16_T}, {"uint16", MPI_UINT16_T},
                {"int32", MPI_INT32_T}, {"uint32", MPI_UINT32_T}, {"int64", MPI_INT64_T}, {"uint64", MPI_UINT64_T},
                {"float", MPI_FLOAT},   {"double", MPI_DOUBLE}};
  for (const auto& entry : kTypes) {
    if (!is(entry.word, word)) continue;
    type = entry.type;
    return true;
  }
  return false;
}

// MPI has no 16-bit floats; where nothing is combined, any 16 bits will do.
bool find_type_to_move(const char* word, MPI_Datatype& type) {
  if (is(word, "half") || is(word, "bfloat16")) {
    type = MPI_UINT16_T;
    return true;
  }
  return find_type(word, type);
}

bool find_reduction(const char* word, MPI_Op& reduction) {
  if (is(word, "sum")) return reduction = MPI_SUM, true;
  if (is(word, "prod")) return reduction = MPI_PROD, true;
  if (is(word, "max")) return reduction = MPI_MAX, true;
  if (is(word, "min")) return reduction = MPI_MIN, true;
  return false;
}

const char* start(int rank, int ranks, const char*) {
  int threads = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SINGLE, &threads) != MPI_SUCCESS) return "MPI_Init failed";
  MPI_Comm_rank(MPI_COMM_WORLD, &g_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &g_ranks);
  return g_rank == rank && g_ranks == ranks ? nullptr : "MPI has other ranks than this run";
}

const char* version() {
  static std::string text;
  char words[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(words, &length);
  text = words;
  if (const size_t end = text.find_first_of(",\n"); end != std::string::npos) text.resize(end);
  return text.c_str();
}

void* make(const TandemCollectiveCall* what) {
  Call call{*what, what->operation, MPI_BYTE, MPI_SUM, static_cast<int>(what->count), g_rank, g_ranks, {}, {}};
  const bool combines = what->reduction[0] != '\0';
  if (combines ? !find_type(what->type, call.type) : !find_type_to_move(what->type, call.type)) return nullptr;
  if (combines && !find_reduction(what->reduction, call.reduction)) return nullptr;
  if (what->count > INT32_MAX) return nullptr;
  for (int r = 0; what->counts != nullptr && r < g_ranks; ++r) {
    call.counts.push_back(static_cast<int>(what->counts[r]));
    call.displacements.push_back(static_cast<int>(what->displacements[r]));
  }
  return new Call(call);
}

int run(void* handle) {
  Call& c = *static_cast<Call*>(handle);
  const std::string& op = c.operation;
  const void* in = c.what.in;
  void* out = c.what.out;
  const int n = c.count, root = c.what.root, next = (c.rank + 1) % c.ranks, before = (c.rank + c.ranks - 1) % c.ranks;
  const MPI_Datatype t = c.type;
  const MPI_Comm all = MPI_COMM_WORLD;
  const int *counts = c.counts.data(), *at = c.displacements.data();
  if (op == "all_reduce") return MPI_Allreduce(in, out, n, t, c.reduction, all);
  if (op == "reduce_scatter") return MPI_Reduce_scatter_block(in, out, n, t, c.reduction, all);
  if (op == "reduce_scatter_v") return MPI_Reduce_scatter(in, out, counts, t, c.reduction, all);
  if (op == "all_gather") return MPI_Allgather(in, n, t, out, n, t, all);
  if (op == "all_gather_v") return MPI_Allgatherv(in, counts[c.rank], t, out, counts, at, t, all);
  if (op == "broadcast") return MPI_Bcast(out, n, t, root, all);
  if (op == "reduce") return MPI_Reduce(in, out, n, t, c.reduction, root, all);
  if (op == "scatter") return MPI_Scatter(in, n, t, out, n, t, root, all);
  if (op == "gather") return MPI_Gather(in, n, t, out, n, t, root, all);
  if (op == "all_to_all") return MPI_Alltoall(in, n, t, out, n, t, all);
  if (op == "all_to_all_v") return MPI_Alltoallv(in, counts, at, t, out, counts, at, t, all);
  return MPI_Sendrecv(in, n, t, next, 0, out, n, t, before, 0, all, MPI_STATUS_IGNORE);
}

void drop(void* handle) { delete static_cast<Call*>(handle); }
void stop() { MPI_Finalize(); }

}  // namespace

extern "C" const TandemCollectivePeer* tandem_collective_peer() {
  static const TandemCollectivePeer peer = {TANDEM_PEER_NAME, version, start, make, run, drop, stop};
  return &peer;
}
