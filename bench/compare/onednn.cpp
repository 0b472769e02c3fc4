// SPDX-License-Identifier: Apache-2.0
// oneDNN's matmul with weights in the layout it likes best; compiled once for each installed version.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "bench/compare/peer.h"

#ifdef TANDEM_PEER_OPENMP
extern "C" void omp_set_num_threads(int);

namespace {
void set_threads(int threads) { omp_set_num_threads(threads); }
void set_up() {}
}  // namespace
#else
// The wheel's library runs on TBB under SYCL and brings no headers of TBB: what follows is tbb::global_control.
namespace tbb::detail::d1 {
struct global_control {
  size_t value;
  intptr_t reserved = 0;
  int parameter = 0;  // max_allowed_parallelism
};
}  // namespace tbb::detail::d1
namespace tbb::detail::r1 {
void create(d1::global_control&);
void destroy(d1::global_control&);
}  // namespace tbb::detail::r1

namespace {
void set_threads(int threads) {
  static tbb::detail::d1::global_control* control = nullptr;
  if (control != nullptr && control->value == static_cast<size_t>(threads)) return;
  if (control != nullptr) tbb::detail::r1::destroy(*control);
  delete control;
  control = new tbb::detail::d1::global_control{static_cast<size_t>(threads)};
  tbb::detail::r1::create(*control);
}
// Its CPU device is an OpenCL driver beside it; Intel's loader knows the first name, the system's the second.
void set_up() {
  for (const char* name : {"OCL_ICD_FILENAMES", "OCL_ICD_VENDORS"}) ::setenv(name, TANDEM_PEER_DRIVER, 0);
}
}  // namespace
#endif

namespace {

using dnnl::memory;
using Type = memory::data_type;

dnnl::engine& engine() {
  set_up();
  static dnnl::engine one(dnnl::engine::kind::cpu, 0);
  return one;
}

struct Product {
  TandemPeerProblem p;
  dnnl::matmul::primitive_desc description;
  dnnl::matmul matmul;
  dnnl::stream stream;
  memory x, w, y, scale, zero;
  std::vector<float> scale_values;
  std::vector<int8_t> zero_values;
  std::unordered_map<int, memory> arguments;
};

Type type_of(const char* name) {
  const std::string text = name;
  if (text == "f32") return Type::f32;
  if (text == "f16") return Type::f16;
  if (text == "bf16") return Type::bf16;
  if (text == "u8") return Type::u8;
  if (text == "i8") return Type::s8;
#if DNNL_VERSION_MAJOR >= 3
  if (text == "i4") return Type::s4;
#endif
  return Type::undef;
}

bool is_integer(const char* name) { return name[0] == 'i' || name[0] == 'u'; }
bool decompresses(const TandemPeerProblem& p) { return is_integer(p.w) && !is_integer(p.x); }

dnnl::primitive_attr attributes([[maybe_unused]] const TandemPeerProblem& p) {
  dnnl::primitive_attr attr;
#if DNNL_VERSION_MAJOR >= 3
  if (!decompresses(p)) return attr;
  constexpr int kColumns = 1 << 1, kBoth = 3;
  attr.set_fpmath_mode(dnnl::fpmath_mode::strict, true);
  const memory::dims groups = p.group > 0 ? memory::dims{p.group, 1} : memory::dims{};
  attr.set_scales(DNNL_ARG_WEIGHTS, p.group > 0 ? kBoth : kColumns, groups, Type::f32);
  if (p.offset != 0) attr.set_zero_points(DNNL_ARG_WEIGHTS, p.group > 0 ? kBoth : kColumns, groups, Type::s8);
#endif
  return attr;
}

dnnl::matmul::primitive_desc describe(const TandemPeerProblem& p) {
  const memory::desc x({p.m, p.k}, type_of(p.x), memory::format_tag::ab);
  const memory::desc w({p.k, p.n}, type_of(p.w), memory::format_tag::any);
  const memory::desc y({p.m, p.n}, is_integer(p.x) ? Type::s32 : Type::f32, memory::format_tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(engine(), x, w, y, attributes(p));
#else
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, w, y), attributes(p), engine());
#endif
}

void* make(const TandemPeerProblem* problem) try {
  if (type_of(problem->x) == Type::undef || type_of(problem->w) == Type::undef) return nullptr;
#if DNNL_VERSION_MAJOR < 3
  if (decompresses(*problem)) return nullptr;
#endif
  set_threads(problem->threads);
  auto product = std::make_unique<Product>();
  product->p = *problem;
  product->description = describe(*problem);
  // The plain C++ reference implementation is no yardstick.
  if (std::strncmp(product->description.impl_info_str(), "ref", 3) == 0) return nullptr;
  product->matmul = dnnl::matmul(product->description);
  product->stream = dnnl::stream(engine());
  product->x = memory(product->description.src_desc(), engine(), nullptr);
  product->w = memory(product->description.weights_desc(), engine(), nullptr);
  product->y = memory(product->description.dst_desc(), engine(), nullptr);
  product->arguments = {{DNNL_ARG_SRC, product->x}, {DNNL_ARG_WEIGHTS, product->w}, {DNNL_ARG_DST, product->y}};
  return product.release();
} catch (const std::exception&) {
  return nullptr;
}

Product& of(void* product) { return *static_cast<Product*>(product); }

size_t weight_bytes(void* product) { return of(product).description.weights_desc().get_size(); }

int pack(void* product, const void* w, void* to) try {
  Product& self = of(product);
  const bool wide = std::strcmp(self.p.w, "i4") == 0;
  const memory::desc plain({self.p.k, self.p.n}, wide ? Type::f32 : type_of(self.p.w), memory::format_tag::ab);
  memory from(plain, engine(), const_cast<void*>(w)), packed(self.description.weights_desc(), engine(), to);
  dnnl::reorder(from, packed).execute(self.stream, from, packed);
  self.stream.wait();
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "oneDNN, %s weights: %s\n", of(product).p.w, error.what());
  return 0;
}

void scales(void* product, const float* scale, const float* offset) {
#if DNNL_VERSION_MAJOR >= 3
  Product& self = of(product);
  const int64_t groups = self.p.group > 0 ? self.p.k / self.p.group : 1, count = groups * self.p.n;
  const memory::dims shape = self.p.group > 0 ? memory::dims{groups, self.p.n} : memory::dims{self.p.n};
  const auto tag = self.p.group > 0 ? memory::format_tag::ab : memory::format_tag::a;
  self.scale_values.assign(scale, scale + count);
  self.scale = memory(memory::desc(shape, Type::f32, tag), engine(), self.scale_values.data());
  self.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] = self.scale;
  if (self.p.offset == 0) return;
  for (int64_t i = 0; i < count; ++i) self.zero_values.push_back(static_cast<int8_t>(-offset[i]));  // it subtracts
  self.zero = memory(memory::desc(shape, Type::s8, tag), engine(), self.zero_values.data());
  self.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_WEIGHTS] = self.zero;
#else
  (void)product, (void)scale, (void)offset;
#endif
}

void run(void* product, const void* x, const void* w, void* y) {
  Product& self = of(product);
  set_threads(self.p.threads);
  self.x.set_data_handle(const_cast<void*>(x));
  self.w.set_data_handle(const_cast<void*>(w));
  self.y.set_data_handle(y);
  self.matmul.execute(self.stream, self.arguments);
  self.stream.wait();
}

void drop(void* product) { delete static_cast<Product*>(product); }

}  // namespace

extern "C" const TandemPeer* tandem_peer() {
  static const std::string version = std::to_string(dnnl_version()->major) + "." + std::to_string(dnnl_version()->minor) + "." +
                                     std::to_string(dnnl_version()->patch);
  static const auto choice = [](void* product) { return of(product).description.impl_info_str(); };
  static const TandemPeer peer = {"oneDNN", version.c_str(), TANDEM_PEER_FLAGS, make, weight_bytes, pack, scales, run, drop, choice};
  return &peer;
}
