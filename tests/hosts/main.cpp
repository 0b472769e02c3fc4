// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "far_roles.h"
#include "namespaces.h"

// Started with --role this program is a rank, on the host the role names.
int main(int count, char** arguments) {
  if (count == 6 && std::string(arguments[1]) == "--role") {
    std::string role = arguments[2];
    if (!tandem::test::enter_namespace(role)) return 125;
    return tandem::test::run_far_role(role, std::atoi(arguments[3]), std::atoi(arguments[4]), arguments[5]);
  }
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
