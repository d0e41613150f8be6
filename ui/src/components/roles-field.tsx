import type { Role } from '@/api/types'
import { ROLE_CHOICES } from '@/lib/access'
import { CheckboxField, Choices } from './field'

/** The roles one may give, each with what it means. */
export const RolesField = ({ value, onChange }: { value: Role[]; onChange: (roles: Role[]) => void }) => (
  <Choices legend="Roles" help="Without a role one sees only one’s own sessions and the targets of one’s groups.">
    <div className="grid gap-2.5">
      {ROLE_CHOICES.map((role) => (
        <CheckboxField key={role.value} label={role.label} help={role.help} checked={value.includes(role.value)}
          onChange={(on) => onChange(on ? [...value, role.value] : value.filter((other) => other !== role.value))} />
      ))}
    </div>
  </Choices>
)
