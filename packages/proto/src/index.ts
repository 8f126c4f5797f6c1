/* The wire of Emu: messages, services and their descriptors, generated from proto/. */
export * from './generated/emu/v1/content_pb.js';
export * from './generated/emu/v1/embedding_service_pb.js';
export * from './generated/emu/v1/generation_event_pb.js';
export * from './generated/emu/v1/generation_service_pb.js';
export * from './generated/emu/v1/media_service_pb.js';
export * from './generated/emu/v1/model_service_pb.js';
export * from './generated/emu/v1/options_pb.js';
export * from './generated/emu/v1/training_service_pb.js';
export * from './generated/google/rpc/error_details_pb.js';
export * from './generated/google/rpc/status_pb.js';
// Health under a name of its own: its words are short and common.
export * as health from './generated/grpc/health/v1/health_pb.js';
export * from './services.js';
