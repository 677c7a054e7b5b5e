// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/admin.h"

namespace sluice::control {

std::string_view name_of(Admin admin) {
  switch (admin) {
    case Admin::kEnabled:
      return "enabled";
    case Admin::kDraining:
      return "draining";
    case Admin::kDisabled:
      return "disabled";
  }
  return "unknown";
}

}  // namespace sluice::control
