// SPDX-License-Identifier: Apache-2.0
//
// The bodies of Boost.Beast, which every other file sees declared alone (BOOST_BEAST_SEPARATE_COMPILATION). Without
// Boost's assertions: what a peer sends must not end the process. One of them does where the end of the last chunk
// comes in pieces (basic_parser::parse_chunk_header, Boost 1.81), of which the parser takes the rest as it should.
#define BOOST_DISABLE_ASSERTS
#include <boost/beast/src.hpp>
