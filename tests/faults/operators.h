// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tandem/comm/communicator.h"

namespace tandem::test {

// Every operator between ranks, sized so that it takes several turns of a 64 KiB window.
std::vector<std::string> operator_names();

// A function that runs one round of the operator on this rank; make it after connecting.
std::function<Status()> make_round(const std::string& name, Communicator& comm);

}  // namespace tandem::test
