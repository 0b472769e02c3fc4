// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_UTIL_H
#define TANDEM_ACLNNOP_UTIL_H

#define ACLNN_API __attribute__((visibility("default")))

#endif
