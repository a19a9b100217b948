export interface ApprovalAnswer {
    type: "antiphon.approval.answer";
    event_id?: string | null;
    call_id: string;
    approve: boolean;
}
export interface AudioAppend {
    type: "input_audio_buffer.append";
    event_id?: string | null;
    audio: string;
}
export interface AudioClear {
    type: "input_audio_buffer.clear";
    event_id?: string | null;
}
export interface AudioCommit {
    type: "input_audio_buffer.commit";
    event_id?: string | null;
}
export interface AudioInputPatch {
    format?: AudioPcm | AudioPcmu | AudioPcma | null;
    noise_reduction?: NoiseReduction | null;
    transcription?: Transcription | null;
    turn_detection?: ServerVadPatch | SemanticVadPatch | null;
}
export interface AudioOutputPatch {
    format?: AudioPcm | AudioPcmu | AudioPcma | null;
    voice?: string | VoiceId | null;
    speed?: number | null;
}
export interface AudioPatch {
    input?: AudioInputPatch | null;
    output?: AudioOutputPatch | null;
}
export interface AudioPcm {
    type: "audio/pcm";
    rate?: 24000 | null;
}
export interface AudioPcma {
    type: "audio/pcma";
}
export interface AudioPcmu {
    type: "audio/pcmu";
}
export interface FunctionCall {
    type: "function_call";
    id?: string | null;
    object?: "realtime.item" | null;
    status?: "completed" | "in_progress" | "incomplete" | null;
    call_id?: string | null;
    name: string;
    arguments: string;
}
export interface FunctionCallOutput {
    type: "function_call_output";
    id?: string | null;
    object?: "realtime.item" | null;
    status?: "completed" | "in_progress" | "incomplete" | null;
    call_id: string;
    output: string;
}
export interface FunctionTool {
    type: "function";
    name: string;
    description?: string | null;
    parameters?: Record<string, unknown> | null;
}
export interface InputAudio {
    type: "input_audio";
    audio?: string | null;
    transcript?: string | null;
}
export interface InputImage {
    type: "input_image";
    image_url: string;
    detail?: "auto" | "high" | "low" | null;
}
export interface InputText {
    type: "input_text";
    text: string;
}
export interface ItemCreate {
    type: "conversation.item.create";
    event_id?: string | null;
    item: Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse;
    previous_item_id?: string | null;
}
export interface ItemDelete {
    type: "conversation.item.delete";
    event_id?: string | null;
    item_id: string;
}
export interface ItemReference {
    type: "item_reference";
    id: string;
}
export interface ItemRetrieve {
    type: "conversation.item.retrieve";
    event_id?: string | null;
    item_id: string;
}
export interface ItemTruncate {
    type: "conversation.item.truncate";
    event_id?: string | null;
    item_id: string;
    content_index: number;
    audio_end_ms: number;
}
export interface McpApprovalFilter {
    always?: McpToolFilter | null;
    never?: McpToolFilter | null;
}
export interface McpApprovalRequest {
    type: "mcp_approval_request";
    id?: string | null;
    server_label: string;
    name: string;
    arguments: string;
}
export interface McpApprovalResponse {
    type: "mcp_approval_response";
    id?: string | null;
    approval_request_id: string;
    approve: boolean;
    reason?: string | null;
}
export interface McpCall {
    type: "mcp_call";
    id?: string | null;
    server_label: string;
    name: string;
    arguments: string;
    approval_request_id?: string | null;
    output?: string | null;
    error?: McpProtocolError | McpToolExecutionError | McpHttpError | null;
}
export interface McpHttpError {
    type: "http_error";
    code: number;
    message: string;
}
export interface McpListTools {
    type: "mcp_list_tools";
    id?: string | null;
    server_label: string;
    tools: readonly (McpToolInfo)[];
}
export interface McpProtocolError {
    type: "protocol_error";
    code: number;
    message: string;
}
export interface McpTool {
    type: "mcp";
    server_label: string;
    server_url?: string | null;
    connector_id?: string | null;
    tunnel_id?: string | null;
    authorization?: string | null;
    headers?: Record<string, string> | null;
    allowed_tools?: readonly (string)[] | McpToolFilter | null;
    require_approval?: "always" | "never" | McpApprovalFilter | null;
    server_description?: string | null;
    defer_loading?: boolean | null;
    allowed_callers?: readonly ("direct" | "programmatic")[] | null;
}
export interface McpToolExecutionError {
    type: "tool_execution_error";
    message: string;
}
export interface McpToolFilter {
    read_only?: boolean | null;
    tool_names?: readonly (string)[] | null;
}
export interface McpToolInfo {
    name: string;
    input_schema: Record<string, unknown>;
    description?: string | null;
    annotations?: Record<string, unknown> | null;
}
export interface Message {
    type: "message";
    id?: string | null;
    object?: "realtime.item" | null;
    status?: "completed" | "in_progress" | "incomplete" | null;
    role: "assistant" | "system" | "user";
    content: readonly (InputText | InputAudio | InputImage | OutputText | OutputAudio)[];
}
export interface NoiseReduction {
    type?: "far_field" | "near_field";
    strength?: number | null;
}
export interface OutputAudio {
    type: "output_audio";
    audio?: string | null;
    transcript?: string | null;
}
export interface OutputAudioClear {
    type: "output_audio_buffer.clear";
    event_id?: string | null;
}
export interface OutputText {
    type: "output_text";
    text: string;
}
export interface Playout {
    type: "antiphon.playout";
    event_id?: string | null;
    item_id: string;
    played_ms: number;
}
export interface Prompt {
    id: string;
    version?: string | null;
    variables?: Record<string, unknown> | null;
}
export interface Reasoning {
    effort?: "high" | "low" | "medium" | "minimal" | "xhigh" | null;
}
export interface ResponseAudioOutputParams {
    format?: AudioPcm | AudioPcmu | AudioPcma | null;
    voice?: string | VoiceId | null;
}
export interface ResponseAudioParams {
    output?: ResponseAudioOutputParams | null;
}
export interface ResponseCancel {
    type: "response.cancel";
    event_id?: string | null;
    response_id?: string | null;
}
export interface ResponseCreate {
    type: "response.create";
    event_id?: string | null;
    response?: ResponseParams | null;
}
export interface ResponseParams {
    conversation?: string | null;
    input?: readonly (Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse | ItemReference)[] | null;
    instructions?: string | null;
    output_modalities?: readonly ("audio" | "text")[] | null;
    audio?: ResponseAudioParams | null;
    tools?: readonly (FunctionTool | McpTool)[] | null;
    tool_choice?: "auto" | "none" | "required" | ToolChoiceFunction | ToolChoiceMcp | null;
    parallel_tool_calls?: boolean | null;
    max_output_tokens?: number | "inf" | null;
    metadata?: Record<string, string> | null;
    prompt?: Prompt | null;
    reasoning?: Reasoning | null;
}
export interface RetentionRatio {
    type: "retention_ratio";
    retention_ratio: number;
    token_limits?: TokenLimits | null;
}
export interface SemanticVadPatch {
    type: "semantic_vad";
    eagerness?: "auto" | "high" | "low" | "medium" | null;
    create_response?: boolean | null;
    interrupt_response?: boolean | null;
}
export interface ServerVadPatch {
    type: "server_vad";
    threshold?: number | null;
    prefix_padding_ms?: number | null;
    silence_duration_ms?: number | null;
    idle_timeout_ms?: number | null;
    create_response?: boolean | null;
    interrupt_response?: boolean | null;
}
export interface SessionClose {
    type: "session.close";
    event_id?: string | null;
}
export interface SessionPatch {
    type?: "realtime" | "transcription" | null;
    model?: string | null;
    instructions?: string | null;
    output_modalities?: readonly ("audio" | "text")[] | null;
    audio?: AudioPatch | null;
    tools?: readonly (FunctionTool | McpTool)[] | null;
    tool_choice?: "auto" | "none" | "required" | ToolChoiceFunction | ToolChoiceMcp | null;
    parallel_tool_calls?: boolean | null;
    max_output_tokens?: number | "inf" | null;
    truncation?: "auto" | "disabled" | RetentionRatio | null;
    tracing?: "auto" | Tracing | null;
    prompt?: Prompt | null;
    reasoning?: Reasoning | null;
    include?: readonly ("item.input_audio_transcription.logprobs")[] | null;
}
export interface SessionUpdate {
    type: "session.update";
    event_id?: string | null;
    session: SessionPatch;
}
export interface TokenLimits {
    post_instructions?: number | null;
}
export interface ToolCancel {
    type: "antiphon.tool.cancel";
    event_id?: string | null;
    call_id: string;
}
export interface ToolChoiceFunction {
    type: "function";
    name: string;
}
export interface ToolChoiceMcp {
    type: "mcp";
    server_label: string;
    name?: string | null;
}
export interface Tracing {
    workflow_name?: string | null;
    group_id?: string | null;
    metadata?: Record<string, unknown> | null;
}
export interface Transcription {
    model?: string | null;
    language?: string | null;
    prompt?: string | null;
    languages?: readonly (string)[] | null;
    keywords?: readonly (string)[] | null;
    delay?: "high" | "low" | "medium" | "minimal" | "xhigh" | null;
}
export interface VoiceId {
    id: string;
}
export type ClientMessage = SessionUpdate | SessionClose | AudioAppend | AudioCommit | AudioClear | OutputAudioClear | ItemCreate | ItemRetrieve | ItemTruncate | ItemDelete | ResponseCreate | ResponseCancel | Playout | ToolCancel | ApprovalAnswer;
