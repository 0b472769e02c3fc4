// SPDX-License-Identifier: Apache-2.0
#include "front/python/collective.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tandem::python {
namespace {

// How many blocks of `count` elements each side holds: one, one for each rank, none, or parts that are listed.
enum class Side : uint8_t { none, one, ranks, parts, own_part };

struct Form {
  std::string_view kind;
  Side in, out;
  bool in_at_root, out_at_root;  // the side counts on the root only
  Status (*run)(const Collective&, Communicator&, Lane&, int64_t count);
};

DType type_of(const Collective& c) { return c.in.present() ? c.in.dtype : c.out.dtype; }
Parts sent(const Collective& c) { return {c.counts, c.displacements}; }

constexpr Form kForms[] = {
    {"all_reduce", Side::one, Side::one, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return all_reduce(m, c.in.data, c.out.data, n, type_of(c), c.how, l);
     }},
    {"reduce", Side::one, Side::one, false, true,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return reduce(m, c.in.data, c.out.data, n, type_of(c), c.how, c.root, l);
     }},
    {"reduce_scatter", Side::ranks, Side::one, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return reduce_scatter(m, c.in.data, c.out.data, n, type_of(c), c.how, l);
     }},
    {"reduce_scatter_v", Side::parts, Side::own_part, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t) {
       return reduce_scatter_v(m, c.in.data, sent(c), c.out.data, type_of(c), c.how, l);
     }},
    {"all_gather", Side::one, Side::ranks, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return all_gather(m, c.in.data, c.out.data, n, type_of(c), l);
     }},
    {"all_gather_v", Side::own_part, Side::parts, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t) {
       return all_gather_v(m, c.in.data, c.out.data, sent(c), type_of(c), l);
     }},
    {"broadcast", Side::none, Side::one, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return broadcast(m, c.out.data, n, type_of(c), c.root, l);
     }},
    {"scatter", Side::ranks, Side::one, true, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return scatter(m, c.in.data, c.out.data, n, type_of(c), c.root, l);
     }},
    {"gather", Side::one, Side::ranks, false, true,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return gather(m, c.in.data, c.out.data, n, type_of(c), c.root, l);
     }},
    {"all_to_all", Side::ranks, Side::ranks, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return all_to_all(m, c.in.data, c.out.data, n, type_of(c), l);
     }},
    {"all_to_all_v", Side::parts, Side::parts, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t) {
       return all_to_all_v(m, c.in.data, sent(c), c.out.data, {c.receives, c.receive_offsets}, type_of(c), l);
     }},
    {"barrier", Side::none, Side::none, false, false,
     [](const Collective&, Communicator& m, Lane& l, int64_t) { return barrier(m, l); }},
    {"send", Side::one, Side::none, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return send(m, c.in.data, n, type_of(c), c.root, l);
     }},
    {"recv", Side::none, Side::one, false, false,
     [](const Collective& c, Communicator& m, Lane& l, int64_t n) {
       return recv(m, c.out.data, n, type_of(c), c.root, l);
     }},
};

const Form* form_of(std::string_view kind) {
  const auto* found = std::ranges::find(kForms, kind, &Form::kind);
  return found == std::end(kForms) ? nullptr : found;
}

tl::unexpected<Error> wrong(const Collective& call, std::string text) {
  return fail(ErrorCode::invalid_argument, fmt::format("{}: {}", call.kind, text));
}

// Where the parts end; below 0 where a count or displacement makes no sense.
int64_t end_of(const std::vector<int64_t>& counts, const std::vector<int64_t>& displacements) {
  constexpr int64_t kMost = int64_t{1} << 48;
  int64_t end = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const bool sane = counts[i] >= 0 && counts[i] <= kMost && displacements[i] >= 0 && displacements[i] <= kMost;
    if (!sane) return -1;
    if (counts[i] > 0) end = std::max(end, counts[i] + displacements[i]);
  }
  return end;
}

Status check_lists(const Collective& call, const Form& form, const Communicator& comm) {
  const auto ranks = static_cast<size_t>(comm.size());
  const bool parts = form.in == Side::parts || form.out == Side::parts;
  const bool both = form.in == Side::parts && form.out == Side::parts;
  const auto fits = [&](const auto& list, bool used) { return list.size() == (used ? ranks : 0); };
  if (fits(call.counts, parts) && fits(call.displacements, parts) && fits(call.receives, both) &&
      fits(call.receive_offsets, both)) {
    return {};
  }
  return wrong(call, fmt::format("counts and displacements have {} and {} entries, {} of each wanted (one a rank)",
                                 call.counts.size(), call.displacements.size(), parts ? ranks : 0));
}

// Elements a side needs; blocks of `count`.
int64_t need_of(const Collective& call, Side side, bool takes, int64_t count, const Communicator& comm) {
  switch (side) {
    case Side::none: return 0;
    case Side::one: return count;
    case Side::ranks: return count * comm.size();
    case Side::parts:
      return takes && !call.receives.empty() ? end_of(call.receives, call.receive_offsets)
                                             : end_of(call.counts, call.displacements);
    case Side::own_part: return call.counts[static_cast<size_t>(comm.rank())];
  }
  return 0;
}

int64_t count_of(const Collective& call, const Form& form, const Communicator& comm) {
  if (form.in == Side::one) return call.in.elements();
  if (form.out == Side::one) return call.out.elements();
  return call.in.elements() / comm.size();
}

Status check_side(const Collective& call, std::string_view name, const TensorView& view, int64_t need, bool exact) {
  if (need < 0) return wrong(call, "a count or displacement is below 0 or above 2^48");
  if (need > 0 && !view.present())
    return fail(ErrorCode::null_argument,
                fmt::format("{}: {} is absent, an array of {} elements wanted", call.kind, name, need));
  if (!view.contiguous())
    return wrong(call, fmt::format("{} {} has gaps or another order of memory, a contiguous array wanted", name,
                                   view.describe()));
  const int64_t has = view.present() ? view.elements() : 0;
  if (has == need || (!exact && has > need)) return {};
  return wrong(call, fmt::format("{} is {}, {} elements wanted", name, view.describe(), need));
}

Status check_sides(const Collective& call, const Form& form, const Communicator& comm) {
  const bool root = call.root == comm.rank();
  const bool gives = form.in != Side::none && (!form.in_at_root || root);
  const bool takes = form.out != Side::none && (!form.out_at_root || root);
  const int64_t count = count_of(call, form, comm);
  if (gives) {
    const int64_t need = need_of(call, form.in, false, count, comm);
    if (auto status = check_side(call, "input", call.in, need, form.in != Side::parts); !status) return status;
  }
  if (takes) {
    const int64_t need = need_of(call, form.out, true, count, comm);
    if (auto status = check_side(call, "output", call.out, need, form.out != Side::parts); !status) return status;
  }
  if (gives && takes && call.in.present() && call.out.present() && call.in.dtype != call.out.dtype) {
    return wrong(call, fmt::format("output is {}, {} wanted", call.out.describe(), dtype_name(call.in.dtype)));
  }
  return {};
}

}  // namespace

Status settle(Collective& call, std::string_view reduction, const Communicator& comm) {
  const Form* form = form_of(call.kind);
  if (form == nullptr) return wrong(call, "no such collective");
  constexpr std::array<std::string_view, 5> kReductions = {"sum", "prod", "max", "min", "avg"};
  const auto* how = std::ranges::find(kReductions, reduction);
  if (how == kReductions.end()) {
    return wrong(call, fmt::format("op is {}, one of {} wanted", reduction, fmt::join(kReductions, ", ")));
  }
  call.how = static_cast<Combine>(how - kReductions.begin());
  if (call.root < 0 || call.root >= comm.size()) {
    return wrong(call, fmt::format("rank {} is not of the group, 0..{} wanted", call.root, comm.size() - 1));
  }
  if (auto status = check_lists(call, *form, comm); !status) return status;
  return check_sides(call, *form, comm);
}

Status Collective::run(Communicator& comm, Lane& lane) const {
  const Form& form = *form_of(kind);
  return form.run(*this, comm, lane, count_of(*this, form, comm));
}

}  // namespace tandem::python
