/**
 * The hub's resources, under the names the application uses. All of them are aliases of what is
 * generated from the OpenAPI snapshot: a change of the interface is a mistake of the compiler here.
 */
import type { components, operations } from './schema'

type Schemas = components['schemas']

/** What one sends; field by field as the hub accepts it. */
export type Body<Name extends keyof Schemas> = Schemas[Name]

/**
 * What the hub answers. It always sends every field; one that may be null is "optional" in the
 * generated types only because the document does not list it as required.
 */
type Sent<Value> = Value extends readonly (infer Item)[]
  ? Sent<Item>[]
  : Value extends object
    ? { [Key in keyof Value]-?: Sent<Exclude<Value[Key], undefined>> }
    : Value

/** A page of a list. */
export interface Page<Item> {
  items: Item[]
  next_cursor: string | null
}

export type Role = Schemas['Role']
export type ZoneType = Schemas['ZoneType']
export type Environment = Schemas['Environment']
export type CredentialKind = Schemas['CredentialKind']
export type HostKeyPolicy = Schemas['HostKeyPolicy']
export type SessionStatus = Schemas['SessionStatus']
export type RecordingKept = NonNullable<NonNullable<operations['list_sessions']['parameters']['query']>['recording']>
export type Outcome = Schemas['Outcome']
export type Source = Schemas['Source']

/** Something with an id and a name. */
export type Named = Sent<Schemas['MeGroup']>

export type Motd = Sent<Schemas['Motd']>
export type Providers = Sent<Schemas['Providers']>
export type Permission = Sent<Schemas['Permission']>
export type Me = Sent<Schemas['Me']>
export type LoggedOut = Sent<Schemas['LoggedOut']>
export type AuthSession = Sent<Schemas['AuthSession']>
export type LaunchCredential = Sent<Schemas['LaunchCredential']>
export type LaunchTarget = Sent<Schemas['LaunchTarget']>
export type Session = Sent<Schemas['Session']>
export type Participant = Sent<Schemas['Participant']>
export type Recording = Sent<Schemas['Recording']>
export type RecordingSummary = Sent<Schemas['RecordingSummary']>
export type RecordingRetention = Sent<Schemas['RecordingRetention']>
/** Sessions whose recordings showed a text. */
export type RecordingMatches = Sent<Schemas['RecordingMatches']>
export type RecordingMatch = RecordingMatches['items'][number]
export type RecordingHit = RecordingMatch['hits'][number]
export type ResumeToken = Schemas['ResumeToken']
export type LedgerEntry = Sent<Schemas['AuditEntry']>
export type LedgerStanding = Sent<Schemas['LedgerStanding']>
export type LedgerPlace = Sent<Schemas['LedgerPlace']>
/** A row before and after a change. */
export type RowImages = Sent<Schemas['RowImages']>
/** What was changed in one act. */
export type ActImages = Sent<Schemas['ActImages']>
export type Zone = Sent<Schemas['Zone']>
export type Site = Sent<Schemas['Site']>
export type HostKey = Sent<Schemas['HostKey']>
export type Target = Sent<Schemas['Target']>
export type ScannedKey = Sent<Schemas['ScannedKey']>
export type Scan = Sent<Schemas['Scan']>
/** A stage leaves its code out when it went well. */
export type TestStage = Schemas['Stage']
export type ConnectionTest = Schemas['TestResult']
export type Credential = Sent<Schemas['Credential']>
export type User = Sent<Schemas['User']>
export type Group = Sent<Schemas['Group']>
/** A member as the group's list shows it. */
export type GroupMember = Sent<operations['list_members']['responses'][200]['content']['application/json']>['items'][number]
export type ServiceAccount = Sent<Schemas['ServiceAccount']>
export type ApiToken = Sent<Schemas['ApiToken']>
export type FreshToken = Sent<Schemas['FreshToken']>
export type DeliveryState = Schemas['DeliveryState']
export type PlatformEvent = Sent<Schemas['PlatformEvent']>
export type EventDelivery = Sent<Schemas['EventDelivery']>
export type EventDetail = Sent<Schemas['EventDetail']>
export type EventType = Sent<Schemas['EventType']>
export type Webhook = Sent<Schemas['Webhook']>
export type CreatedWebhook = Sent<Schemas['CreatedWebhook']>
export type WebhookSecret = Sent<Schemas['WebhookSecret']>
export type WebhookTest = Sent<Schemas['WebhookTest']>
export type WebhookReplay = Sent<Schemas['WebhookReplay']>
export type Settings = Sent<Schemas['Settings']>
export type SystemStatus = Sent<Schemas['System']>
/** What `/readyz` answers, ready or not. */
export type Readiness = Schemas['Readiness']

/** Any small JSON object of the person's own; never a secret. */
export type Preferences = Record<string, unknown>
