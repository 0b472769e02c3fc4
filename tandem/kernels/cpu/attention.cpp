// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/rows.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kChunk = 256;
constexpr float kMasked = -1e12f;  // a row without any other score gets the mean of its values
constexpr int kGroup = 16 / kLanes;
constexpr int kValueVecs = 4;  // vectors of the value sum held in registers

// What a chunk, or a merged run of chunks, knows: largest score, sum of weights, weighted values.
struct Run {
  float top = 0;
  float sum = 0;
  float* values = nullptr;
};

// Scratch of one part.
struct Buffers {
  float* scores;
  float* query;
  float* values;  // one row of `width` for every level of the tree
  int64_t width;  // head_dim in whole groups of 16
};

// The elements of one chunk's positions in the cache.
struct Chunk {
  int64_t count = 0;
  const float* bias = nullptr;  // of its first position, or absent
  const uint8_t* mask = nullptr;
  int64_t offset[kChunk];
};

void locate(const PagedAttentionArgs& args, int64_t row, int64_t kv_head, int64_t first, Chunk& chunk) {
  chunk.count = min64(kChunk, args.lengths[row] - first);
  for (int64_t i = 0; i < chunk.count; ++i) {
    const int64_t t = first + i;
    const int64_t slot = args.block_tables[row][t / args.block_size] * args.block_size + t % args.block_size;
    chunk.offset[i] = (slot * args.kv_heads + kv_head) * args.head_dim;
  }
}

template <class T>
float dot(const float* query, const void* key, int64_t offset, int64_t head_dim) {
  Vec lanes[kGroup];
#pragma GCC unroll 16
  for (int i = 0; i < kGroup; ++i) lanes[i] = set(0.0f);
  int64_t d = 0;
  for (; d + 16 <= head_dim; d += 16) {
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) {
      lanes[i] = fma(load(query + d + i * kLanes), T::load(key, offset + d + i * kLanes), lanes[i]);
    }
  }
  if (d < head_dim) {
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) {
      const int64_t column = d + i * kLanes;
      lanes[i] = fma(load(query + column), load_up_to<T>(key, offset + column, head_dim - column), lanes[i]);
    }
  }
  return tree16(lanes);
}

// values[d] = sum of p[t] * v_t[d] in rising t, for kVecs vectors of columns.
template <class T, int kVecs>
void weigh(const PagedAttentionArgs& args, const Chunk& chunk, const float* p, int64_t column, float* values) {
  Vec sum[kVecs];
#pragma GCC unroll 16
  for (int i = 0; i < kVecs; ++i) sum[i] = set(0.0f);
  for (int64_t t = 0; t < chunk.count; ++t) {
    const Vec weight = set(p[t]);
#pragma GCC unroll 16
    for (int i = 0; i < kVecs; ++i) {
      sum[i] = fma(weight, T::load(args.value_cache, chunk.offset[t] + column + i * kLanes), sum[i]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kVecs; ++i) store(values + column + i * kLanes, sum[i]);
}

template <class T>
void weigh_tail(const PagedAttentionArgs& args, const Chunk& chunk, const float* p, int64_t column, float* values) {
  Vec sum = set(0.0f);
  for (int64_t t = 0; t < chunk.count; ++t) {
    const Vec v = load_tail<T>(args.value_cache, chunk.offset[t] + column, args.head_dim - column);
    sum = fma(set(p[t]), v, sum);
  }
  store(values + column, sum);
}

template <class T>
void weigh_all(const PagedAttentionArgs& args, const Chunk& chunk, const float* p, float* values) {
  int64_t column = 0;
  for (; column + kValueVecs * kLanes <= args.head_dim; column += kValueVecs * kLanes) {
    weigh<T, kValueVecs>(args, chunk, p, column, values);
  }
  for (; column + kLanes <= args.head_dim; column += kLanes) weigh<T, 1>(args, chunk, p, column, values);
  if (column < args.head_dim) weigh_tail<T>(args, chunk, p, column, values);
}

template <class T>
void attend_chunk(const PagedAttentionArgs& args, const Buffers& buffers, const Chunk& chunk, Run& run) {
  float* scores = buffers.scores;
  for (int64_t t = 0; t < chunk.count; ++t) {
    scores[t] = dot<T>(buffers.query, args.key_cache, chunk.offset[t], args.head_dim) * args.scale;
  }
  for (int64_t t = 0; t < chunk.count && chunk.bias != nullptr; ++t) scores[t] += chunk.bias[t];
  for (int64_t t = 0; t < chunk.count && chunk.mask != nullptr; ++t) {
    if (chunk.mask[t] != 0) scores[t] = kMasked;
  }
  run.top = scores[0];
  for (int64_t t = 1; t < chunk.count; ++t) run.top = max_nan(run.top, scores[t]);
  for (int64_t t = 0; t < chunk.count; t += kLanes) {  // the buffer is whole vectors long
    store(scores + t, exp(sub(load(scores + t), set(run.top))));
  }
  run.sum = 0;
  for (int64_t t = 0; t < chunk.count; ++t) run.sum += scores[t];
  weigh_all<T>(args, chunk, scores, run.values);
}

// a = a merged with the run behind it.
void merge(Run& a, const Run& b, int64_t width) {
  const float top = max_nan(a.top, b.top);
  const Vec ea = exp(set(a.top - top));
  const Vec eb = exp(set(b.top - top));
  a.top = top;
  a.sum = first_lane(fma(set(a.sum), ea, mul(set(b.sum), eb)));
  for (int64_t d = 0; d < width; d += kLanes) {
    store(a.values + d, fma(load(a.values + d), ea, mul(load(b.values + d), eb)));
  }
}

template <class T>
void attend(const PagedAttentionArgs& args, int64_t row, int64_t head, const Buffers& buffers) {
  const int64_t kv_head = head / (args.query_heads / args.kv_heads);
  const int64_t first = head * args.head_dim;
  for (int64_t d = args.head_dim; d < buffers.width; ++d) buffers.query[d] = 0;
  read_row<T>(at(args.query, row * args.query_row_bytes), first, args.head_dim, buffers.query);
  Run runs[64];
  Chunk chunk;
  int depth = 0;
  for (int64_t t = 0, index = 0; t < args.lengths[row]; t += kChunk, ++index) {
    locate(args, row, kv_head, t, chunk);
    if (args.bias != nullptr) chunk.bias = args.bias[row * args.query_heads + head] + t;
    if (args.mask != nullptr) chunk.mask = args.mask[row] + t;
    runs[depth].values = buffers.values + depth * buffers.width;
    attend_chunk<T>(args, buffers, chunk, runs[depth++]);
    for (int64_t carry = index; (carry & 1) != 0; carry >>= 1, --depth) {
      merge(runs[depth - 2], runs[depth - 1], buffers.width);
    }
  }
  for (; depth > 1; --depth) merge(runs[depth - 2], runs[depth - 1], buffers.width);
  void* y = at(args.y, row * args.y_row_bytes);
  for (int64_t d = 0; d < args.head_dim; d += kLanes) {
    const Vec value = depth == 0 ? set(0.0f) : div(load(runs[0].values + d), set(runs[0].sum));
    store_up_to<T>(y, first + d, value, args.head_dim - d);
  }
}

// Levels the tree over the chunks of the longest row needs.
int64_t tree_levels(const PagedAttentionArgs& args) {
  int64_t longest = 1;
  for (int64_t row = 0; row < args.rows; ++row) longest = max64(longest, args.lengths[row]);
  int64_t levels = 2;
  for (int64_t chunks = (longest + kChunk - 1) / kChunk; chunks > 1; chunks = (chunks + 1) / 2) ++levels;
  return levels;
}

}  // namespace

void paged_attention(const PagedAttentionArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  const int64_t width = (args.head_dim + 15) / 16 * 16;
  const int64_t floats = kChunk + width * (1 + tree_levels(args));
  Parts<float> parts(lane, floats);
  int64_t longest = 0;
  for (int64_t row = 0; row < args.rows; ++row) longest = max64(longest, args.lengths[row]);
  lane.team->parallel_for(args.rows * args.query_heads, grain_of(longest * args.head_dim * 2), [&](int64_t begin, int64_t end) {
    float* memory = parts.claim();
    for (int64_t i = 0; i < floats; ++i) memory[i] = 0;
    const Buffers buffers{memory, memory + kChunk, memory + kChunk + width, width};
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / args.query_heads;
      with_float(args.dtype, [&]<class T>(T) { attend<T>(args, row, task % args.query_heads, buffers); });
    }
  });
}

}  // namespace tandem::TANDEM_ISA
