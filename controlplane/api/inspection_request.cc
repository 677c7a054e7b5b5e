// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/inspection_request.h"

#include "controlplane/api/request_body.h"

namespace sluice::control {

namespace {

constexpr uint64_t kUsualTraced = 1000, kUsualCaptured = 100'000;

std::expected<RequestBody, std::string> body_of(const std::string& text, bool is_capture) {
  const std::string there = text.empty() ? "{}" : text;
  if (!is_capture) return RequestBody::parse(there, {"client", "service", "backend", "seconds", "packets"});
  return RequestBody::parse(there, {"client", "service", "backend", "seconds", "packets", "bytes", "snaplen"});
}

}  // namespace

std::expected<InspectionRequest, std::string> inspection_request_from(const std::string& text, bool is_capture) {
  const auto body = body_of(text, is_capture);
  if (!body) return std::unexpected(body.error());
  const auto client_text = body->text("client");
  const auto service = body->text("service");
  const auto backend = body->text("backend");
  for (const auto* part : {&client_text, &service, &backend}) {
    if (!*part) return std::unexpected(part->error());
  }
  const auto seconds = body->number("seconds", 1, InspectionRequest::kMostSeconds);
  const auto packets = body->number("packets", 1, InspectionRequest::kMostPackets);
  const auto bytes = body->number("bytes", InspectionRequest::kLeastFileBytes, InspectionRequest::kMostFileBytes);
  const auto snaplen = body->number("snaplen", 0, InspectionRequest::kMostSnapBytes);
  for (const auto* part : {&seconds, &packets, &bytes, &snaplen}) {
    if (!*part) return std::unexpected(part->error());
  }
  const auto client = ClientFilter::parse(*client_text);
  if (!client) return std::unexpected(client.error());
  if (is_capture && client_text->empty() && service->empty() && backend->empty())
    return std::unexpected("say whose packets: client, service or backend");
  if (!is_capture && client_text->empty()) return std::unexpected("client: missing");
  InspectionRequest out{.client = *client, .service = *service, .backend = *backend};
  out.time = std::chrono::seconds(seconds->value_or(30));
  out.packets = static_cast<uint32_t>(packets->value_or(is_capture ? kUsualCaptured : kUsualTraced));
  out.file_bytes = bytes->value_or(out.file_bytes);
  out.snap_bytes = static_cast<uint32_t>(snaplen->value_or(0));
  return out;
}

}  // namespace sluice::control
