// SPDX-License-Identifier: Apache-2.0
// Copies and conversions of layout: translation to copy, cast and transdata.
#include "tandem/ops/movement.h"
#include "aclnnop/aclnn_convert_weight_to_int4_pack.h"
#include "aclnnop/aclnn_permute.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/transdata.h"

namespace tandem::front {
namespace {

// int4 in place: rows as they are, or the panels a FRACTAL_NZ result is read as.
void pack(Chain& chain, const TensorView& values, const TensorView& packed, int64_t panel) {
  chain.then(Cast{values, packed});
  if (panel > 0) chain.then(Transdata{packed, packed, Transdata::Kind::to_panels});
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnPermuteGetWorkspaceSize(const aclTensor* self, const aclIntArray* dims, aclTensor* out,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Copy>("aclnnPermute", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out);
    call.check.present("self", self != nullptr);
    front::check_order(call.check, "dims", dims, call.op.x.rank);
    if (call.check.failed()) return;
    std::vector<int64_t> order = dims->values;
    for (int64_t& axis : order) axis += axis < 0 ? call.op.x.rank : 0;
    call.op.x = front::permuted(call.op.x, order);
  });
}

aclnnStatus aclnnPermute(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnConvertWeightToINT4PackGetWorkspaceSize(const aclTensor* weight, aclTensor* weightInt4Pack,
                                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnConvertWeightToINT4Pack", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& values = call.needed("weight", weight);
    int64_t panel = 0;
    tandem::TensorView& packed = call.weight_of("weightInt4Pack", weightInt4Pack, panel);
    front::unpack_words(packed);
    call.check.rank("weight", values, 2, 3).dtype("weight", values, {tandem::DType::i32});
    call.without_workspace = true;
    call.op.build = [&values, &packed, panel](front::Chain& chain) { front::pack(chain, values, packed, panel); };
  });
}

aclnnStatus aclnnConvertWeightToINT4Pack(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                         aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
