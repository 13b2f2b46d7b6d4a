// The server's own structures as messages of the admin service.
#pragma once

#include "proto/admin.pb.h"
#include "server/admin/backend.h"
#include "server/health/status.h"
#include "storage/checkpoint.h"

namespace everstate {

void FillInfo(const AdminInfo& info, admin::v1::Info* message);
void FillStatus(const ServerStatus& status, admin::v1::Status* message);
// What the CHECKPOINT file tells; `damage`, `ours` and `reach` are the caller's.
void FillCheckpoint(const CheckpointInfo& info, admin::v1::Checkpoint* message);

}  // namespace everstate
