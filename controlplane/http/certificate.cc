// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/certificate.h"

#include <stdexcept>
#include <utility>

namespace sluice::control {

namespace {

std::string in_words(const TlsFault& fault) {
  return "control.tls." + fault.setting + ": " + fault.words;
}

}  // namespace

Certificate::Certificate(config::HttpTls files, Tell tell)
    : files_(std::move(files)), tell_(std::move(tell)), read_(stamps()) {
  auto read = http_tls(files_);
  if (!read) throw std::runtime_error(in_words(read.error()));
  context_ = std::move(*read);
}

Certificate::Stamps Certificate::stamps() const {
  return {stamp_of(files_.cert_file), stamp_of(files_.key_file), stamp_of(files_.client_ca_file)};
}

std::shared_ptr<boost::asio::ssl::context> Certificate::current() {
  const Stamps now = stamps();
  if (now == read_) return context_;
  read_ = now;
  auto read = http_tls(files_);
  const std::string fault = read ? "" : in_words(read.error());
  if (read) context_ = std::move(*read);
  if (std::exchange(fault_, fault) != fault) tell_(fault);
  return context_;
}

}  // namespace sluice::control
