// SPDX-License-Identifier: Apache-2.0
// Flash attention: the queries that share a KV head go through its cache together, one chunk at a time. A chunk's keys
// are widened to f32 a tile at a time for all of them, then its values. Runs of chunks are tasks of their own where
// there are more threads than rows; they meet in the tree of chunks, so bits do not depend on the cut.
#include "tandem/kernels/cpu/attention_tile.h"
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr float kMasked = -1e12f;  // a row without any other score gets the mean of its values
constexpr float kNever = -__builtin_inff();
constexpr int64_t kMostQueries = 32;  // of a unit
constexpr int64_t kHeader = 16;       // floats of a node before its values

// What a chunk, or a merged run of chunks, knows: largest score, sum of weights, weighted values.
struct Node {
  float* memory;
  float& top() const { return memory[0]; }
  float& sum() const { return memory[1]; }
  float* values() const { return memory + kHeader; }
};

// Neighbouring rows of one sequence.
struct Block {
  int64_t first = 0, rows = 0, longest = 0;
};

// How a call is cut. A unit: `heads` query heads of one KV head for the rows of a block; query i of it is row i /
// heads, head i % heads. A task: `units_at_once` units of a block over a run of chunks.
struct Cut {
  Block* blocks = nullptr;
  int64_t count = 0, most_rows = 0, longest = 0;
  int64_t group = 0, heads = 0, slices = 0, units = 0, units_at_once = 0;
  int64_t run = 1, runs = 1;  // chunks of a run, a power of two; runs of the longest row
  int64_t width = 0, levels = 0;

  int64_t queries() const { return most_rows * heads; }
  int64_t quads() const { return (queries() + kQuad - 1) / kQuad; }
  int64_t node() const { return width + kHeader; }
  int64_t parts() const { return (units + units_at_once - 1) / units_at_once; }
  int64_t tasks() const { return count * runs * parts(); }
};

int64_t chunks_of(int64_t length) { return (length + kChunk - 1) / kChunk; }

struct Unit {
  int64_t kv_head, head, heads;
};
Unit unit_of(const Cut& cut, int64_t index) {
  const int64_t kv_head = index / cut.slices, from = index % cut.slices * cut.heads;
  return {kv_head, kv_head * cut.group + from, min64(cut.heads, cut.group - from)};
}

// Scratch of one part. For each unit of a task and quad of its queries: queries, values, scores, tops and sums.
struct Buffers {
  float *tile, *query, *values, *scores, *sums, *nodes;
  int64_t offset[kChunk + kTile];
  const void *rows[kTile], *next[kTile];  // of a tile, and what to fetch meanwhile
  int64_t count, known;                   // positions of the chunk, and those behind it that are known to be fetched

  static int64_t floats(const Cut& cut) {
    const int64_t quads = cut.units_at_once * cut.quads();
    return kTile * cut.width + quads * kQuad * (2 * cut.width + kChunk + 2 * kTile) +
           cut.units_at_once * cut.queries() * cut.levels * cut.node();
  }
  Buffers(const Cut& cut, float* memory) {
    const int64_t quads = cut.units_at_once * cut.quads();
    tile = memory;
    query = tile + kTile * cut.width;
    values = query + quads * kQuad * cut.width;
    scores = values + quads * kQuad * cut.width;
    sums = scores + quads * kQuad * (kChunk + kTile);
    nodes = sums + quads * kQuad * kTile;
    for (int64_t i = 0; i < values - memory; ++i) memory[i] = 0;
  }
};

// One task and its way through it.
class Task {
 public:
  Task(const PagedAttentionArgs& args, const Cut& cut, Buffers& buffers, int64_t index)
      : args_(args), cut_(cut), b_(buffers) {
    const int64_t part = index % cut.parts(), rest = index / cut.parts();
    run_ = rest % cut.runs;
    block_ = cut.blocks[rest / cut.runs];
    first_unit_ = part * cut.units_at_once;
    units_ = min64(cut.units_at_once, cut.units - first_unit_);
    element_ = element_bytes(cache_type());
  }
  // To y, or with several runs to the run's place in `partial`: [row * query_heads + head][runs] nodes.
  void all(float* partial);

 private:
  DType cache_type() const { return args_.cache_dtype == DType::none ? args_.dtype : args_.cache_dtype; }
  Unit unit(int64_t u) const { return unit_of(cut_, first_unit_ + u); }
  int64_t queries(int64_t u) const { return block_.rows * unit(u).heads; }
  int64_t quad(int64_t u, int64_t i) const { return u * cut_.quads() + i; }
  float* scores(int64_t quad) const { return b_.scores + quad * kQuad * (kChunk + kTile); }
  float* of_quad(float* base, int64_t quad) const { return base + quad * kQuad * cut_.width; }
  int64_t row(int64_t u, int64_t query) const { return block_.first + query / unit(u).heads; }
  int64_t head(int64_t u, int64_t query) const { return unit(u).head + query % unit(u).heads; }
  // Positions of the chunk that a query sees.
  int64_t limit(int64_t u, int64_t query) const {
    return max64(0, min64(b_.count, args_.lengths[row(u, query)] - chunk_ * kChunk));
  }
  Node node(int64_t u, int64_t query, int64_t level) const {
    return {b_.nodes + ((u * cut_.queries() + query) * cut_.levels + level) * cut_.node()};
  }
  CacheRows rows_of(const void* cache, int64_t u, int64_t first, int64_t last) const {
    return {at(cache, unit(u).kv_head * args_.head_dim * element_), b_.offset + first,
            max64(0, min64(last - first, kTile))};
  }

  void read_queries();
  void locate();
  bool direct(int64_t u) const { return queries(u) <= kQuad && cut_.width == args_.head_dim; }
  CacheRows after(bool values, int64_t u, int64_t first) const;
  void point(bool values, int64_t u, int64_t first);
  template <class T>
  void decode(bool values, int64_t u, int64_t first);
  void fetch_after(bool values, int64_t u, int64_t first) const;
  void attend();
  void bound(int64_t u, int64_t i);
  void soften(int64_t quad);
  template <class T>
  void weigh(int64_t u, int64_t i, int64_t first);
  void push(int64_t u, int64_t query);
  void finish(int64_t u, int64_t query, float* partial);

  const PagedAttentionArgs& args_;
  const Cut& cut_;
  Buffers& b_;
  Block block_;
  int64_t run_ = 0, first_unit_ = 0, units_ = 0, element_ = 0;
  int64_t chunk_ = 0;
};

void Task::read_queries() {
  for (int64_t u = 0; u < units_; ++u) {
    for (int64_t i = 0; i < queries(u); ++i) {
      float* to = of_quad(b_.query, quad(u, 0)) + i * cut_.width;
      const void* from = at(args_.query, row(u, i) * args_.query_row_bytes);
      with_float(args_.dtype, [&]<class T>(T) { read_row<T>(from, head(u, i) * args_.head_dim, args_.head_dim, to); });
    }
  }
}

void Task::locate() {
  const int64_t first = chunk_ * kChunk, left = block_.longest - first;
  const int32_t* table = args_.block_tables[block_.first];
  b_.count = min64(kChunk, left);
  b_.known = min64(kChunk + kTile, left);
  int64_t block = first / args_.block_size, place = first % args_.block_size;
  for (int64_t i = 0; i < b_.known; ++i, ++place) {
    if (place == args_.block_size) ++block, place = 0;
    b_.offset[i] = (table[block] * args_.block_size + place) * args_.kv_heads * args_.head_dim;
  }
}

// What the task reads after the tiles from `first`, of its unit u.
CacheRows Task::after(bool values, int64_t u, int64_t first) const {
  const bool last = first + kTile >= b_.count;
  const void* cache = values != last ? args_.value_cache : args_.key_cache;
  const int64_t from = !last ? first + kTile : values ? kChunk : 0;
  return rows_of(cache, u, from, last && values ? b_.known : b_.count);
}

// Rows of the cache itself, and of the unit that comes next; those behind the last one are the last one.
void Task::point(bool values, int64_t u, int64_t first) {
  const void* cache = values ? args_.value_cache : args_.key_cache;
  const CacheRows rows = rows_of(cache, u, first, b_.count);
  CacheRows next = u + 1 < units_ ? rows_of(cache, u + 1, first, b_.count) : after(values, 0, first);
  if (next.count == 0) next = rows;
  for (int64_t i = 0; i < kTile; ++i) {
    b_.rows[i] = at(rows.base, rows.offset[min64(i, rows.count - 1)] * element_);
    b_.next[i] = at(next.base, next.offset[min64(i, next.count - 1)] * element_);
  }
}

template <class T>
void Task::decode(bool values, int64_t u, int64_t first) {
  DecodeArgs tile;
  tile.rows = rows_of(values ? args_.value_cache : args_.key_cache, u, first, b_.count);
  tile.head_dim = args_.head_dim;
  tile.width = cut_.width;
  tile.tile = b_.tile;
  if constexpr (sizeof(typename T::Element) == 1) {
    const int64_t column = ((values ? args_.kv_heads : 0) + unit(u).kv_head) * args_.head_dim;
    tile.scale = args_.cache_scale + column;
    if (args_.cache_shift != nullptr) tile.shift = args_.cache_shift + column;
  }
  decode_tile<T>(tile);
  for (int64_t i = 0; i < kTile; ++i) b_.rows[i] = b_.tile + i * cut_.width;
}

// Asks for this unit's share of the rows after the tiles from `first`, whole as they lie in memory. Inline: a function
// that does nothing else is taken for one without effect.
TANDEM_INLINE void Task::fetch_after(bool values, int64_t u, int64_t first) const {
  const int64_t heads = unit(units_ - 1).kv_head - unit(0).kv_head + 1;
  fetch_rows(after(values, 0, first), element_, heads * args_.head_dim * element_, u, units_);
}

// What a position adds to a score, and which positions have none.
void Task::bound(int64_t u, int64_t i) {
  float* s = scores(quad(u, i));
  const int64_t first = chunk_ * kChunk;
  for (int64_t t = 0; t < b_.count * kQuad; t += kLanes) store(s + t, mul(load(s + t), set(args_.scale)));
  for (int64_t q = 0; q < kQuad && i * kQuad + q < queries(u); ++q) {
    const int64_t query = i * kQuad + q, seen = limit(u, query), r = row(u, query);
    if (args_.bias != nullptr) {
      const float* bias = args_.bias[r * args_.query_heads + head(u, query)] + first;
      for (int64_t t = 0; t < seen; ++t) s[t * kQuad + q] += bias[t];
    }
    if (args_.mask != nullptr) {
      const uint8_t* mask = args_.mask[r] + first;
      for (int64_t t = 0; t < seen; ++t) s[t * kQuad + q] = mask[t] != 0 ? kMasked : s[t * kQuad + q];
    }
    for (int64_t t = seen; t < (b_.count + 3) / 4 * 4; ++t) s[t * kQuad + q] = kNever;
  }
}

// Scores to weights, their tops beside them.
// What scores are taken relative to: where all are -inf, none has a weight.
float base_of(float top) { return top == kNever ? 0.0f : top; }

void Task::soften(int64_t quad) {
  float* s = scores(quad);
  float* sums = b_.sums + quad * kQuad * kTile;
  float tops[16];
  Vec top = load(s);
  for (int64_t t = 0; t < b_.count * kQuad; t += kLanes) top = at_least(load(s + t), top);
  store(tops, top);
  for (int q = 0; q < kQuad; ++q) {
    for (int i = q; i < kLanes; i += kQuad) tops[q] = tops[i] > tops[q] ? tops[i] : tops[q];
    sums[q] = 0;
    sums[kQuad + q] = tops[q];
  }
  for (int q = 0; q < kQuad; ++q) tops[q] = base_of(tops[q]);
  for (int i = kQuad; i < kLanes; ++i) tops[i] = tops[i % kQuad];
  top = load(tops);
  for (int64_t t = 0; t < b_.count * kQuad; t += kLanes) store(s + t, exp(sub(load(s + t), top)));
}

// The tile's values into the sums of a quad: together as far as all of its queries see, then one by one.
template <class T>
void Task::weigh(int64_t u, int64_t i, int64_t first) {
  const int64_t real = min64(kQuad, queries(u) - i * kQuad);
  const float* p = scores(quad(u, i)) + first * kQuad;
  float* values = of_quad(b_.values, quad(u, i));
  int64_t seen[kQuad], common = kTile, most = 0;
  for (int64_t q = 0; q < real; ++q) {
    seen[q] = max64(0, min64(limit(u, i * kQuad + q) - first, kTile));
    common = min64(common, seen[q]);
    most = max64(most, seen[q]);
  }
  add_quads(p, most, b_.sums + quad(u, i) * kQuad * kTile);
  weigh_tile<T, kQuad>(p, b_.rows, direct(u) ? b_.next : nullptr, common, cut_.width, values);
  for (int64_t q = 0; q < real && common < most; ++q) {
    weigh_tile<T, 1>(p + common * kQuad + q, b_.rows + common, nullptr, seen[q] - common, cut_.width,
                     values + q * cut_.width);
  }
}

void Task::attend() {
  const auto each = [&](const auto& body) {
    for (int64_t u = 0; u < units_; ++u) {
      for (int64_t i = 0; i * kQuad < queries(u); ++i) body(u, i);
    }
  };
  const auto tiles = [&](bool values, const auto& body) {
    for (int64_t first = 0; first < b_.count; first += kTile) {
      for (int64_t u = 0; u < units_; ++u) {
        with_cache(cache_type(), [&]<class T>(T type) {
          if constexpr (sizeof(typename T::Element) > 1) {
            if (direct(u)) return point(values, u, first), body(u, 0, first, type);
          }
          fetch_after(values, u, first);
          decode<T>(values, u, first);
          for (int64_t i = 0; i * kQuad < queries(u); ++i) body(u, i, first, F32());
        });
      }
    }
  };
  tiles(false, [&]<class T>(int64_t u, int64_t i, int64_t first, T) {
    score_tile<T>(of_quad(b_.query, quad(u, i)), b_.rows, direct(u) ? b_.next : nullptr, min64(kTile, b_.count - first),
                  cut_.width, scores(quad(u, i)) + first * kQuad);
  });
  each([&](int64_t u, int64_t i) {
    bound(u, i);
    soften(quad(u, i));
    float* values = of_quad(b_.values, quad(u, i));
    for (int64_t d = 0; d < kQuad * cut_.width; d += kLanes) store(values + d, set(0.0f));
  });
  tiles(true, [&]<class T>(int64_t u, int64_t i, int64_t first, T) { weigh<T>(u, i, first); });
}

// a = a merged with the run behind it.
void merge(Node a, Node b, int64_t width) {
  const float top = max_nan(a.top(), b.top());
  const Vec ea = exp(set(a.top() - base_of(top)));
  const Vec eb = exp(set(b.top() - base_of(top)));
  a.top() = top;
  a.sum() = first_lane(fma(set(a.sum()), ea, mul(set(b.sum()), eb)));
  for (int64_t d = 0; d < width; d += kLanes) {
    store(a.values() + d, fma(load(a.values() + d), ea, mul(load(b.values() + d), eb)));
  }
}

// Runs of the query that are still apart after so many chunks.
int depth_of(int64_t chunks) { return __builtin_popcountll(static_cast<unsigned long long>(chunks)); }

void Task::push(int64_t u, int64_t query) {
  if (limit(u, query) == 0) return;
  const int64_t index = chunk_ - run_ * cut_.run;
  int depth = depth_of(index);
  const Node top = node(u, query, depth++);
  const int64_t own = quad(u, query / kQuad), q = query % kQuad;
  top.sum() = b_.sums[own * kQuad * kTile + q];
  top.top() = b_.sums[own * kQuad * kTile + kQuad + q];
  const float* values = of_quad(b_.values, own) + q * cut_.width;
  for (int64_t d = 0; d < cut_.width; d += kLanes) store(top.values() + d, load(values + d));
  for (int64_t carry = index; (carry & 1) != 0; carry >>= 1, --depth) {
    merge(node(u, query, depth - 2), node(u, query, depth - 1), cut_.width);
  }
}

void write_head(const PagedAttentionArgs& args, int64_t row, int64_t head, const Node* all) {
  void* y = at(args.y, row * args.y_row_bytes);
  with_float(args.dtype, [&]<class T>(T) {
    for (int64_t d = 0; d < args.head_dim; d += kLanes) {
      const Vec value = all == nullptr ? set(0.0f) : div(load(all->values() + d), set(all->sum()));
      store_up_to<T>(y, head * args.head_dim + d, value, args.head_dim - d);
    }
  });
}

void Task::finish(int64_t u, int64_t query, float* partial) {
  const int64_t r = row(u, query), h = head(u, query);
  const int64_t chunks = max64(0, min64(cut_.run, chunks_of(args_.lengths[r]) - run_ * cut_.run));
  for (int depth = depth_of(chunks); depth > 1; --depth) {
    merge(node(u, query, depth - 2), node(u, query, depth - 1), cut_.width);
  }
  const Node all = node(u, query, 0);
  if (partial == nullptr) return write_head(args_, r, h, chunks == 0 ? nullptr : &all);
  if (chunks == 0) return;
  float* to = partial + ((r * args_.query_heads + h) * cut_.runs + run_) * cut_.node();
  for (int64_t d = 0; d < cut_.node(); d += kLanes) store(to + d, load(all.memory + d));
}

void Task::all(float* partial) {
  read_queries();
  const int64_t last = min64((run_ + 1) * cut_.run, chunks_of(block_.longest));
  for (chunk_ = run_ * cut_.run; chunk_ < last; ++chunk_) {
    locate();
    attend();
    for (int64_t u = 0; u < units_; ++u) {
      for (int64_t i = 0; i < queries(u); ++i) push(u, i);
    }
  }
  for (int64_t u = 0; u < units_; ++u) {
    for (int64_t i = 0; i < queries(u); ++i) finish(u, i, partial);
  }
}

void find_blocks(const PagedAttentionArgs& args, Cut& cut) {
  const int64_t most = max64(1, kMostQueries / cut.heads);
  for (int64_t row = 0; row < args.rows; ++row) {
    Block* last = cut.count == 0 ? nullptr : &cut.blocks[cut.count - 1];
    if (last == nullptr || last->rows == most || args.block_tables[row] != args.block_tables[row - 1]) {
      last = &cut.blocks[cut.count++];
      *last = {row, 0, 0};
    }
    ++last->rows;
    last->longest = max64(last->longest, args.lengths[row]);
    cut.most_rows = max64(cut.most_rows, last->rows);
    cut.longest = max64(cut.longest, last->longest);
  }
}

// Rows alone keep all KV heads in one task, which reads the cache as it lies; blocks of rows have a task for each.
Cut cut_of(const PagedAttentionArgs& args, Lane& lane) {
  Cut cut;
  cut.blocks = take<Block>(*lane.scratch, args.rows);
  cut.group = args.query_heads / args.kv_heads;
  cut.heads = min64(cut.group, kMostQueries);
  cut.slices = (cut.group + cut.heads - 1) / cut.heads;
  cut.units = args.kv_heads * cut.slices;
  cut.width = (args.head_dim + 15) / 16 * 16;
  find_blocks(args, cut);
  cut.units_at_once = cut.most_rows > 1 ? 1 : cut.units;
  const int64_t chunks = max64(1, chunks_of(cut.longest));
  while (cut.run < chunks) cut.run *= 2;
  const int64_t threads = lane.team->size(), wanted = threads > 1 ? 4 * threads : 1;
  const int64_t each = (wanted + cut.tasks() - 1) / max64(1, cut.tasks());  // tasks out of every one
  while (cut.run > 1 && (chunks + cut.run - 1) / cut.run < each) cut.run /= 2;
  cut.runs = (chunks + cut.run - 1) / cut.run;
  if (cut.runs < each) cut.units_at_once = max64(1, cut.units_at_once * cut.runs / each);
  cut.levels = 2;
  for (int64_t run = cut.run; run > 1; run /= 2) ++cut.levels;
  return cut;
}

// The runs of a head in the tree, and its result.
void join_runs(const PagedAttentionArgs& args, const Cut& cut, float* partial, int64_t index) {
  const int64_t row = index / args.query_heads, chunks = chunks_of(args.lengths[row]);
  const int64_t runs = (chunks + cut.run - 1) / cut.run;
  const auto node = [&](int64_t i) { return Node{partial + (index * cut.runs + i) * cut.node()}; };
  for (int64_t step = 1; step < runs; step *= 2) {
    for (int64_t i = 0; i + step < runs; i += 2 * step) merge(node(i), node(i + step), cut.width);
  }
  const Node all = node(0);
  write_head(args, row, index % args.query_heads, runs == 0 ? nullptr : &all);
}

}  // namespace

void paged_attention(const PagedAttentionArgs& args, Lane& lane) {
  if (args.rows == 0) return;
  const Scratch::Mark mark(*lane.scratch);
  const Cut cut = cut_of(args, lane);
  Parts<float> parts(lane, Buffers::floats(cut));
  float* partial = nullptr;
  const int64_t heads = args.rows * args.query_heads;
  if (cut.runs > 1) partial = take<float>(*lane.scratch, heads * cut.runs * cut.node());
  // Dealt round: a part has early and late tasks, which of a prompt are short and long.
  const int64_t tasks = cut.tasks(), hands = lane.team->size(), each = (tasks + hands - 1) / hands;
  const int64_t work = min64(cut.run * kChunk, cut.longest) * cut.units_at_once * cut.queries() * args.head_dim * 2;
  lane.team->parallel_for(each * hands, grain_of(work), [&](int64_t begin, int64_t end) {
    Buffers buffers(cut, parts.claim());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t task = i % each * hands + i / each;
      if (task < tasks) Task(args, cut, buffers, task).all(partial);
    }
  });
  if (partial == nullptr) return;
  lane.team->parallel_for(heads, grain_of(cut.runs * cut.width * 8), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) join_runs(args, cut, partial, i);
  });
}

}  // namespace tandem::TANDEM_ISA
