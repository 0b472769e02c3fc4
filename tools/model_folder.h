// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "tandem/base/status.h"

namespace tandem::tool {

// `given` where not empty, else TANDEM_MODEL, else share/tandem/model beside the folder of this program.
Expected<std::string> model_folder(const std::string& given);
// Path of this program's file.
std::string own_path();

}  // namespace tandem::tool
