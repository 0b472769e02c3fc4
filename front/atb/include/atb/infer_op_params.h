// SPDX-License-Identifier: Apache-2.0
#pragma once
// Parameters of all operations for inference.
#include "atb/infer_attention_params.h"
#include "atb/infer_comm_params.h"
#include "atb/infer_compute_params.h"
#include "atb/infer_move_params.h"
#include "atb/infer_types.h"
